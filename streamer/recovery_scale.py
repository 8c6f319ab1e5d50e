"""Copies of another size: where the key log's faces lie in a video that was scaled."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import cv2
import numpy as np

from engines.arrays import UInt8Array
from streamer.key_log import Face
from streamer.sealed_patch import Planes

__all__ = ["Scale", "scale_between", "scaled_face", "scaled_planes"]

# Encoders want even edges, so a copy's sides are seldom scaled by exactly the same.
_UNEVENNESS: Final = 0.02


@dataclass(frozen=True, slots=True)
class Scale:
    """How many pixels of a copy a pixel of the recording takes, each over 0.

    Attributes:
        x: along a row.
        y: along a column.
    """

    x: float = 1.0
    y: float = 1.0

    @property
    def is_one(self) -> bool:
        """Whether the copy has the recording's size."""
        return self.x == self.y == 1.0


def scale_between(recorded_hw: tuple[int, int], copy_hw: tuple[int, int]) -> Scale:
    """The scale of a copy; one where its shape is another, since then it is no scaled copy.

    Args:
        recorded_hw: height and width as the key log has them.
        copy_hw: those of the video.
    """
    scale = Scale(copy_hw[1] / recorded_hw[1], copy_hw[0] / recorded_hw[0])
    is_alike = abs(scale.x / scale.y - 1.0) <= _UNEVENNESS
    return scale if is_alike else Scale()


def scaled_face(face: Face, scale: Scale) -> Face:
    """The face where it lies in the copy."""
    sides = np.array([scale.x, scale.y])
    box = face.box_xyxy_px * np.tile(sides, 2).astype(np.float32)
    matrix = face.frame_from_crop * sides[:, None]
    # The centre of a pixel is half a pixel inside of its edge, in both sizes.
    matrix[:, 2] += 0.5 * sides - 0.5
    return replace(face, box_xyxy_px=box, frame_from_crop=matrix)


def scaled_planes(
    planes: Planes, *, x: int, y: int, scale: Scale
) -> tuple[Planes, tuple[int, int]]:
    """A region of the recording as it would be in the copy.

    Args:
        planes: of the recording.
        x: its left edge there.
        y: its top edge there.
        scale: of the copy.

    Returns:
        The region, even again, and its left and top edge in the copy.
    """
    height, width = planes.y.shape
    left, right = _even(x * scale.x), _even((x + width) * scale.x)
    top, bottom = _even(y * scale.y), _even((y + height) * scale.y)
    size = max(2, right - left), max(2, bottom - top)
    half = size[0] // 2, size[1] // 2
    made = Planes(_resized(planes.y, size), _resized(planes.u, half), _resized(planes.v, half))
    return made, (left, top)


def _even(value: float) -> int:
    return 2 * round(value / 2)


def _resized(plane: UInt8Array, size_wh: tuple[int, int]) -> UInt8Array:
    shrinks = size_wh[0] < plane.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(plane, size_wh, interpolation=how), np.uint8)
