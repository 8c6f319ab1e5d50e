"""The recent past of a camera in points of some seconds, for charts."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

__all__ = ["CameraHistory", "HistoryPoint"]

_STEP_S: Final = 2.0
_MOST_POINTS: Final = 150  # five minutes


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """What happened in one step.

    Attributes:
        age_s: how long ago the step ended.
        fps: frames put out a second.
        latency_ms: longest latency in it, 0 without frames.
    """

    age_s: float
    fps: float
    latency_ms: float


class CameraHistory:
    """Keeps the last minutes. Not thread-safe; its owner locks.

    Args:
        start_s: monotonic time at which it begins.
    """

    def __init__(self, start_s: float) -> None:
        self._step_start_s = start_s
        self._frames = 0
        self._worst_s = 0.0
        self._points: deque[tuple[float, float, float]] = deque(maxlen=_MOST_POINTS)

    def add(self, now_s: float, latency_s: float) -> None:
        """Note a frame that was put out."""
        self._turn(now_s)
        self._frames += 1
        self._worst_s = max(self._worst_s, latency_s)

    def _turn(self, now_s: float) -> None:
        """Close the steps that are over; after a long silence only as many as are kept."""
        while now_s - self._step_start_s >= _STEP_S:
            self._step_start_s += _STEP_S
            self._points.append((self._step_start_s, self._frames / _STEP_S, self._worst_s * 1e3))
            self._frames, self._worst_s = 0, 0.0
            if now_s - self._step_start_s > _MOST_POINTS * _STEP_S:
                self._step_start_s = now_s - _MOST_POINTS * _STEP_S

    def points(self, now_s: float) -> tuple[HistoryPoint, ...]:
        """The closed steps, oldest first."""
        self._turn(now_s)
        return tuple(HistoryPoint(now_s - end_s, fps, ms) for end_s, fps, ms in self._points)

    def fps(self, now_s: float) -> float:
        """Frames a second over the last three closed steps."""
        self._turn(now_s)
        recent = list(self._points)[-3:]
        return sum(fps for _, fps, _ in recent) / len(recent) if recent else 0.0
