"""Motion of one face box: a constant-velocity Kalman filter stepped by time stamps."""

from __future__ import annotations

from typing import Final

import numpy as np
from filterpy.kalman import KalmanFilter

from engines.arrays import Float32Array, Float64Array

__all__ = ["BoxMotion"]

# All noise is in units of the face size, so that near and far faces behave alike.
_MEASURED_STD: Final = np.array([0.06, 0.06, 0.08])
_MEASURED_ASPECT_STD: Final = 0.08
_ACCELERATION: Final = np.array([5.0, 5.0, 2.0])
_FIRST_SPEED_STD: Final = np.array([2.0, 2.0, 1.0])
_ASPECT_DRIFT: Final = 0.1
_MIN_SIZE_PX: Final = 2.0
# A lost face slows down: without it a box flies off along the last noisy speed.
_LOST_TIME_CONSTANT_S: Final = 0.5
_LOW_SCORE_NOISE: Final = 2.0


def _measurement(box_xyxy_px: Float32Array) -> Float64Array:
    x1, y1, x2, y2 = (float(v) for v in box_xyxy_px)
    width, height = max(x2 - x1, 1e-3), max(y2 - y1, 1e-3)
    return np.array([(x1 + x2) / 2, (y1 + y2) / 2, (width * height) ** 0.5, width / height])


class BoxMotion:
    """Where a face is and how it moves.

    State: centre x and y, size (root of the area), aspect (width by height), and the speeds of the
    first three a second. Steps are in seconds of presentation time, so that dropped frames and
    variable frame rates do no harm. Not thread-safe.

    Args:
        box_xyxy_px: (4,) first box.
    """

    def __init__(self, box_xyxy_px: Float32Array) -> None:
        self._filter = KalmanFilter(dim_x=7, dim_z=4)
        first = _measurement(box_xyxy_px)
        self._filter.x = np.concatenate([first, np.zeros(3)])[:, None]
        self._filter.H = np.eye(4, 7)
        size = first[2]
        self._filter.P = np.diag(
            np.concatenate(
                [
                    (_MEASURED_STD * size) ** 2,
                    [_MEASURED_ASPECT_STD**2],
                    (_FIRST_SPEED_STD * size) ** 2,
                ]
            )
        )

    @property
    def size_px(self) -> float:
        """Root of the area of the estimated box."""
        return max(float(self._filter.x[2, 0]), _MIN_SIZE_PX)

    @property
    def speed_px_s(self) -> Float64Array:
        """(3,) speed of centre x, centre y and size."""
        return np.array(self._filter.x[4:, 0])

    def predict(self, step_s: float, *, is_lost: bool) -> None:
        """Move on by a step of time; a lost face slows down as it goes."""
        step_s = max(step_s, 0.0)
        size = self.size_px
        transition = np.eye(7)
        transition[[0, 1, 2], [4, 5, 6]] = step_s
        if is_lost:
            keep = np.exp(-step_s / _LOST_TIME_CONSTANT_S)
            transition[[4, 5, 6], [4, 5, 6]] = keep
        noise = np.zeros((7, 7))
        power = (_ACCELERATION * size) ** 2
        noise[[0, 1, 2], [0, 1, 2]] = power * step_s**4 / 4
        noise[[4, 5, 6], [4, 5, 6]] = power * step_s**2
        noise[[0, 1, 2], [4, 5, 6]] = noise[[4, 5, 6], [0, 1, 2]] = power * step_s**3 / 2
        noise[3, 3] = (_ASPECT_DRIFT * step_s) ** 2
        self._filter.predict(F=transition, Q=noise)
        self._filter.x[2, 0] = max(float(self._filter.x[2, 0]), _MIN_SIZE_PX)

    def update(self, box_xyxy_px: Float32Array, *, is_certain: bool = True) -> None:
        """Take in an observed box; an uncertain one pulls less."""
        spread = np.append(_MEASURED_STD * self.size_px, _MEASURED_ASPECT_STD)
        if not is_certain:
            spread = spread * _LOW_SCORE_NOISE
        self._filter.update(_measurement(box_xyxy_px)[:, None], R=np.diag(spread**2))
        self._filter.x[2, 0] = max(float(self._filter.x[2, 0]), _MIN_SIZE_PX)
        self._filter.x[3, 0] = float(np.clip(self._filter.x[3, 0], 0.3, 3.0))

    def box_xyxy_px(self, growth: float = 1.0) -> Float32Array:
        """(4,) float32 estimated box, grown about its centre."""
        x, y, _, aspect = (float(v) for v in self._filter.x[:4, 0])
        half_h = self.size_px * growth / aspect**0.5 / 2
        half_w = half_h * aspect
        return np.array([x - half_w, y - half_h, x + half_w, y + half_h], np.float32)
