"""Names of the models that ship; imports nothing, so that a command line can offer them at once."""

from __future__ import annotations

from typing import Final

__all__ = ["MODEL_NAMES"]

# In the order of reports.
MODEL_NAMES: Final = ("detector", "landmarks", "encoder", "generator", "reader")
