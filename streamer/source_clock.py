"""Clocks of a source: times that never run backwards, also where the input's do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

__all__ = ["FrameClock", "PacketClock"]

# A step back larger than this is a clock that started again, a smaller one is disorder.
_RESTART_S = Fraction(1)
# Frames whose times collide are set apart by this, since some containers count milliseconds.
_LEAST_STEP_S = Fraction(1, 1000)


@dataclass(slots=True)
class _StreamTime:
    last: int | None = None
    duration: int = 0
    offset_s: Fraction = Fraction(0)


class PacketClock:
    """Moves packets of all streams on when the input's clock starts again in mid-stream.

    The first stream that steps back by more than a second sets a new offset so that its own
    packets go on without a gap; the others take over the same offset, so that sound and picture
    keep their distance. Jumps forward are kept. Not thread-safe.

    Args:
        on_restart: called with the size of the step back in seconds.
    """

    def __init__(self, on_restart: Callable[[float], None]) -> None:
        self._on_restart = on_restart
        self._streams: dict[int, _StreamTime] = {}
        self._offset_s = Fraction(0)

    def shift(self, stream_index: int, time: int, duration: int, time_base: Fraction) -> int:
        """How much to add to pts and dts of a packet.

        Args:
            stream_index: stream of the packet.
            time: its dts, or its pts when it has no dts, in `time_base` units.
            duration: its duration in the same units, 0 when unknown.
            time_base: seconds per unit.
        """
        state = self._streams.setdefault(stream_index, _StreamTime())
        if state.last is None:
            state.offset_s = self._offset_s
        offset = _ticks(state.offset_s, time_base)
        limit = _ticks(_RESTART_S, time_base)
        if state.last is not None and time + offset < state.last - limit:
            if time + _ticks(self._offset_s, time_base) < state.last - limit:
                step_back = state.last - time - offset
                self._offset_s = (state.last + max(state.duration, 1) - time) * time_base
                self._on_restart(float(step_back * time_base))
            state.offset_s = self._offset_s
            offset = _ticks(state.offset_s, time_base)
        state.last, state.duration = time + offset, duration
        return offset


class FrameClock:
    """Strictly increasing pts for the frames of one video stream. Not thread-safe.

    Args:
        time_base: seconds per unit of pts.
        step_s: distance of two frames in seconds, used where a frame has no time.
    """

    def __init__(self, time_base: Fraction, step_s: Fraction) -> None:
        self._step = max(_ticks(step_s, time_base), 1)
        self._least_step = min(max(math.ceil(_LEAST_STEP_S / time_base), 1), self._step)
        self._last: int | None = None
        self.moved = 0
        """How many frames had no time or one that was not later than its predecessor's."""

    def next(self, pts: int | None, fallback: int | None = None) -> int:
        """The pts of the next frame.

        Args:
            pts: what the decoder says, None when it does not know.
            fallback: the decoder's guess from the decoding time.
        """
        last = self._last
        if pts is None:
            known = fallback is not None and (last is None or fallback > last)
            value = fallback if known and fallback is not None else self._follow()
            self.moved += 1
        elif last is not None and pts <= last:
            value = last + self._least_step
            self.moved += 1
        else:
            value = pts
        self._last = value
        return value

    def _follow(self) -> int:
        return 0 if self._last is None else self._last + self._step


def _ticks(seconds: Fraction, time_base: Fraction) -> int:
    return round(seconds / time_base)
