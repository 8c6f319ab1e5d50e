"""Privacy zones: places of a picture that are always filled, whatever is in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.arrays import UInt8Array
from streamer.frames import Frame

__all__ = ["PrivacyZones"]

_GREY: Final = 128
_MARGIN_PX: Final = 2


class PrivacyZones:
    """Polygons in shares of width and height, so that they hold at any resolution.

    They are filled twice: before detection, so that neither a network nor the key log ever gets
    what is in them, and again by the blender. Every pixel that a polygon touches is filled, and
    two more around it. Thread-safe.

    Args:
        polygons: corners (x, y) in [0, 1] of the picture as it is stored.
    """

    def __init__(self, polygons: Sequence[Sequence[tuple[float, float]]]) -> None:
        self._polygons = [np.array(polygon, np.float64) for polygon in polygons]
        self._masks: tuple[tuple[int, int], NDArray[np.bool_]] | None = None

    def __bool__(self) -> bool:
        return bool(self._polygons)

    def mask(self, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
        """(H/2, W/2) bool: blocks of 2x2 pixels that are filled in a picture of this size."""
        known = self._masks
        if known is None or known[0] != size_hw:
            known = self._masks = (size_hw, self._draw(size_hw))
        return known[1]

    def _draw(self, size_hw: tuple[int, int]) -> NDArray[np.bool_]:
        height, width = size_hw
        canvas = np.zeros((height, width), np.uint8)
        for polygon in self._polygons:
            corners = np.rint(polygon * (width - 1, height - 1)).astype(np.int32)
            cv2.fillPoly(canvas, [corners], 1)
            cv2.polylines(canvas, [corners], isClosed=True, color=1, thickness=2 * _MARGIN_PX)
        blocks = canvas.reshape(height // 2, 2, width // 2, 2).max(axis=(1, 3))
        return np.asarray(blocks > 0)

    def fill_into(self, canvas: UInt8Array) -> None:
        """Fill the zones of an I420 picture.

        Args:
            canvas: (3H/2, W) uint8 I420, written to.
        """
        if not self._polygons:
            return
        height, width = canvas.shape[0] * 2 // 3, canvas.shape[1]
        mask = self.mask((height, width))
        luma = canvas[:height].reshape(height // 2, 2, width // 2, 2)
        luma.transpose(0, 2, 1, 3)[mask] = _GREY
        for plane in canvas[height:].reshape(2, height // 2, width // 2):
            plane[mask] = _GREY

    def covered(self, frame: Frame) -> Frame:
        """The frame with its zones filled; the same one when there are none."""
        if not self._polygons:
            return frame
        canvas = frame.pixels.copy()
        self.fill_into(canvas)
        return replace(frame, pixels=canvas)
