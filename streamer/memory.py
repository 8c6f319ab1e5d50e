"""Giving memory back to the system, for jobs that run for months."""

from __future__ import annotations

import ctypes
import sys
from typing import Any

__all__ = ["give_back_memory"]


def _malloc_trim() -> Any:  # noqa: ANN401 - a foreign function
    if not sys.platform.startswith("linux"):
        return None
    try:
        return getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc has it, musl does not
    except OSError:
        return None


_TRIM = _malloc_trim()


def give_back_memory() -> bool:
    """Return to the system what malloc holds free, in the middle of its heaps, too.

    A fault or another size leaves holes that glibc keeps; after many of them a job would hold much
    more than it uses. Takes milliseconds, so it is for moments in which nothing runs anyway.

    Returns:
        Whether this system can do so.
    """
    if _TRIM is None:
        return False
    _TRIM(0)
    return True
