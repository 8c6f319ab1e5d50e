"""What malloc gives back to the system, and when: all for jobs of months, little for files."""

from __future__ import annotations

import ctypes
import sys
from typing import Any, Final

__all__ = ["give_back_memory", "keep_frames_in_heap"]

# Of glibc's malloc.h.
_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
# The most that glibc takes; a frame of 2160p and the input of any network are smaller.
_LARGEST_BLOCK_BYTES: Final = 32 << 20
_MOST_KEPT_BYTES: Final = 128 << 20


def _glibc(name: str) -> Any:  # noqa: ANN401 - a foreign function
    if not sys.platform.startswith("linux"):
        return None
    try:
        return getattr(ctypes.CDLL(None), name, None)  # glibc has it, musl does not
    except OSError:
        return None


_TRIM, _OPTION = _glibc("malloc_trim"), _glibc("mallopt")


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


def keep_frames_in_heap() -> bool:
    """Let malloc use the memory of one frame for the next, instead of asking the system each time.

    Left to itself glibc maps some of the large blocks of each frame anew, which ones is a matter
    of luck, and every page of them is a fault (docs/decisions/0073).

    Returns:
        Whether this system can do so.
    """
    if _OPTION is None:
        return False
    kept = _OPTION(_MMAP_THRESHOLD, _LARGEST_BLOCK_BYTES)
    return bool(kept and _OPTION(_TRIM_THRESHOLD, _MOST_KEPT_BYTES))
