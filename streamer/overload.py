"""Overload: when frames are dropped for long, the detector may get a smaller picture."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = ["InputSize"]

_LOOK_EVERY_S: Final = 5.0
_BUSY_RATIO: Final = 0.05
_CALM_S: Final = 60.0
_STEPS: Final = (1.0, 0.8, 0.6)
_SMALLEST_PX: Final = 320


class InputSize:
    """Chooses the side of the detector's input. Not thread-safe.

    Without permission it never changes: a smaller input misses small faces, which is a matter of
    policy. Frames are dropped before detection in either case. With it, one step down is taken
    when more than 5 % of the frames of five seconds were dropped, and one up after a minute
    without any drop.

    Args:
        full_px: side when all is well.
        may_shrink: whether policy allows a smaller one.
        now: monotonic clock in seconds.
    """

    def __init__(self, full_px: int, *, may_shrink: bool, now: Callable[[], float]) -> None:
        self._full_px, self._may_shrink, self._now = full_px, may_shrink, now
        self._step = 0
        self._looked_s = self._calm_since_s = now()
        self._frames = 0
        self._dropped_before = 0

    @property
    def side_px(self) -> int:
        """The side to use, a multiple of 32."""
        side = int(self._full_px * _STEPS[self._step]) // 32 * 32
        return self._full_px if not self._step else max(side, min(_SMALLEST_PX, self._full_px))

    def frame(self, dropped: int) -> bool:
        """Count a frame that is about to be looked at; True when the side has changed.

        Args:
            dropped: frames dropped since the job began.
        """
        self._frames += 1
        now_s = self._now()
        if not self._may_shrink or now_s - self._looked_s < _LOOK_EVERY_S:
            return False
        new, frames = dropped - self._dropped_before, self._frames
        self._dropped_before, self._frames, self._looked_s = dropped, 0, now_s
        before = self._step
        if new:
            self._calm_since_s = now_s
        if new > _BUSY_RATIO * (frames + new):
            self._step = min(self._step + 1, len(_STEPS) - 1)
        elif now_s - self._calm_since_s >= _CALM_S:
            self._step = max(self._step - 1, 0)
            self._calm_since_s = now_s
        return self._step != before
