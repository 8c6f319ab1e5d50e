"""LiveClock: the times of a camera, which go on whatever its own clock and its connection do."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

__all__ = ["LiveClock"]

# A step ahead of the wall clock by more than this is a clock that was set, not a late packet.
_FARTHEST_AHEAD_S: Final = 10


@dataclass(slots=True)
class _StreamTime:
    offset_s: Fraction
    last_s: Fraction | None = None
    wall_s: float = 0.0


class LiveClock:
    """Places the times of all streams of a camera on one axis. Not thread-safe.

    After a lost connection the axis goes on by the wall time that has passed. When a camera's
    clock jumps ahead, which would be a hole in the recording, the same happens; the streams take
    over the same offset, so that sound and picture keep their distance. Steps back are
    `PacketClock`'s business. The wall clock is a monotonic one, so setting the machine's clock
    changes nothing.
    """

    def __init__(self) -> None:
        self._streams: dict[int, _StreamTime] = {}
        self._offset_s = Fraction(0)
        self._resume_at_s: Fraction | None = None

    def resume(self, at_s: Fraction) -> None:
        """Let the next item, of whichever stream, have this time."""
        self._resume_at_s = at_s

    def offset_s(self, stream: int, time_s: Fraction, wall_s: float) -> Fraction:
        """What to add to the times of an item.

        Args:
            stream: its number.
            time_s: its own time in seconds.
            wall_s: when it arrived, in seconds of a monotonic clock.
        """
        if self._resume_at_s is not None:
            self._offset_s = self._resume_at_s - time_s
            self._streams.clear()
            self._resume_at_s = None
        state = self._streams.setdefault(stream, _StreamTime(self._offset_s))
        if state.last_s is not None:
            expected_s = state.last_s + Fraction(wall_s - state.wall_s).limit_denominator(1000)
            if time_s + state.offset_s > expected_s + _FARTHEST_AHEAD_S:
                if abs(time_s + self._offset_s - expected_s) > _FARTHEST_AHEAD_S:
                    self._offset_s = expected_s - time_s
                state.offset_s = self._offset_s
        state.last_s, state.wall_s = time_s + state.offset_s, wall_s
        return state.offset_s
