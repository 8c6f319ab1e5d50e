"""How many cores there are to compute on, and what computes there."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["ON_CORES", "usable_cores"]

ON_CORES: Final = ("cpu", "openvino")
"""Providers that run networks on the processor."""


def usable_cores() -> int:
    """Cores that this process may use, at least 1."""
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on every platform
        return os.cpu_count() or 1
