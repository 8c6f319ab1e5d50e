"""Scene cuts: found from small grey thumbnails."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from engines.arrays import Float32Array, UInt8Array

__all__ = ["SceneCut", "SceneCutOptions", "thumbnail"]

_WIDTH_PX: Final = 32
_HEIGHT_PX: Final = 18
_CALM_FRAMES: Final = 4
_BLANK_SPREAD: Final = 500.0  # about one grey value of contrast


@dataclass(frozen=True, slots=True)
class SceneCutOptions:
    """When two neighbouring frames are of different shots.

    Attributes:
        min_difference: mean absolute difference of grey values, 0 to 255.
        min_jump: difference by the largest one of the last frames, so that fast motion is no cut.
        max_correlation: of the two thumbnails; a flash or fade keeps the picture alike.
        sudden_jump: a jump as large as this out of a calm shot needs less proof.
        sudden_correlation: the correlation that is enough then.
        blank_difference: change to or from a picture of one colour, whose correlation says nothing.
    """

    min_difference: float = 10.0
    min_jump: float = 2.0
    max_correlation: float = 0.7
    sudden_jump: float = 8.0
    sudden_correlation: float = 0.9
    blank_difference: float = 30.0


def thumbnail(luma: UInt8Array) -> Float32Array:
    """A small grey picture of a luma plane (H, W) uint8: (18, 32) float32."""
    step = max(min(luma.shape[0] // 72, luma.shape[1] // 128), 1)
    coarse = np.ascontiguousarray(luma[::step, ::step])
    small = cv2.resize(coarse, (_WIDTH_PX, _HEIGHT_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


class SceneCut:
    """Says of each frame whether it begins another shot. Not thread-safe.

    Args:
        options: the limits.
    """

    def __init__(self, options: SceneCutOptions) -> None:
        self._options = options
        self._last: Float32Array | None = None
        self._recent: deque[float] = deque(maxlen=_CALM_FRAMES)

    def update(self, picture: Float32Array) -> bool:
        """Take in the thumbnail of the next frame; True when the shot changes before it."""
        last, self._last = self._last, picture
        if last is None:
            return False
        difference = float(np.abs(picture - last).mean())
        is_cut = self._is_cut(picture, last, difference)
        if is_cut:
            self._recent.clear()
        else:
            self._recent.append(difference)
        return is_cut

    def _is_cut(self, picture: Float32Array, last: Float32Array, difference: float) -> bool:
        options, background = self._options, max(self._recent, default=0.0)
        if difference < options.min_difference or difference < options.min_jump * background:
            return False
        first, second = picture - picture.mean(), last - last.mean()
        spread = float(np.sqrt((first**2).sum() * (second**2).sum()))
        if spread < _BLANK_SPREAD:
            return difference >= options.blank_difference
        correlation = float((first * second).sum()) / spread
        was_calm = len(self._recent) == _CALM_FRAMES
        is_sudden = was_calm and difference >= options.sudden_jump * background
        return correlation <= (options.sudden_correlation if is_sudden else options.max_correlation)
