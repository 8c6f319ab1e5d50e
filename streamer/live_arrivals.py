"""When the frames of a live job arrived."""

from __future__ import annotations

from collections.abc import Callable

from streamer.frames import Frame

__all__ = ["Arrivals"]


class Arrivals:
    """One thread adds frames and one takes them out, in order; others may ask meanwhile.

    Args:
        now: monotonic clock in seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._at_s: dict[int, float] = {}

    def add(self, frame: Frame) -> None:
        """A frame has just arrived."""
        self._at_s[frame.index] = self._now()

    def age_s(self, frame: Frame) -> float | None:
        """Seconds since a frame arrived; None if nobody knows, or it was taken out."""
        at_s = self._at_s.get(frame.index)
        return None if at_s is None else self._now() - at_s

    def take(self, index: int) -> float | None:
        """When a frame arrived, by the clock; it and all before it are forgotten."""
        # Dropped frames never come out; their arrival times must not pile up.
        for old in [key for key in list(self._at_s) if key < index]:
            self._at_s.pop(old, None)
        return self._at_s.pop(index, None)
