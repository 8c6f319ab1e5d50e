"""Copies of another size: where the key log's faces lie in a video that was scaled."""

from __future__ import annotations

import math
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
# What of a 2 x 2 square may lie outside of a region: the rounding of a scale.
_EDGE_SLACK: Final = 1e-3
# The blur of a smaller copy, in pixels of the recording per pixel of the copy.
_BLUR_PER_STEP: Final = 0.35


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
        What of the region the copy has in whole 2 x 2 squares, and its left and top edge there.
    """
    height, width = planes.y.shape
    left, columns = _squares(x * scale.x, (x + width) * scale.x)
    top, rows = _squares(y * scale.y, (y + height) * scale.y)
    luma = left - x * scale.x, top - y * scale.y
    chroma = luma[0] / 2, luma[1] / 2
    made = Planes(
        _resampled(planes.y, scale, luma, (columns, rows)),
        _resampled(planes.u, scale, chroma, (columns // 2, rows // 2)),
        _resampled(planes.v, scale, chroma, (columns // 2, rows // 2)),
    )
    return made, (left, top)


def _squares(start: float, end: float) -> tuple[int, int]:
    """The first even pixel from an edge on, and an even number that follow; at least one pair."""
    first = math.ceil(start / 2 - _EDGE_SLACK)
    last = math.floor(end / 2 + _EDGE_SLACK)
    if first >= last:
        first = math.floor((start + end) / 4)
        last = first + 1
    return 2 * first, 2 * (last - first)


def _resampled(
    plane: UInt8Array, scale: Scale, offset_xy: tuple[float, float], size_wh: tuple[int, int]
) -> UInt8Array:
    """A plane at exact places: whole pixels would move a face by up to one.

    Args:
        plane: of the recording.
        scale: of the copy.
        offset_xy: from the plane's corner to that of what is made, in pixels of the copy.
        size_wh: of what is made.
    """
    steps = 1.0 / scale.x, 1.0 / scale.y
    blur_px = [_BLUR_PER_STEP * math.sqrt(max(0.0, step * step - 1.0)) for step in steps]
    if max(blur_px) > 0.0:
        smallest = 1e-3
        plane = np.asarray(
            cv2.GaussianBlur(
                plane, (0, 0), max(blur_px[0], smallest), sigmaY=max(blur_px[1], smallest),
                borderType=cv2.BORDER_REPLICATE,
            ),
            np.uint8,
        )  # fmt: skip
    starts = [(offset + 0.5) * step - 0.5 for offset, step in zip(offset_xy, steps, strict=True)]
    matrix = np.array([[steps[0], 0.0, starts[0]], [0.0, steps[1], starts[1]]])
    made = cv2.warpAffine(
        plane, matrix, size_wh, flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return np.asarray(made, np.uint8)
