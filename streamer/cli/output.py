"""What commands print for scripts: one JSON line on standard output."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

__all__ = ["print_json"]


def print_json(summary: Mapping[str, Any]) -> None:
    """One line that a script can parse."""
    print(json.dumps(summary, ensure_ascii=False, allow_nan=False))
