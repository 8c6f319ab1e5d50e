"""Covering a face that cannot be replaced: a coarse blur, coarse pixels or a flat fill."""

from __future__ import annotations

from typing import Final, Literal

import cv2
import numpy as np

from engines.arrays import Float32Array, UInt8Array
from engines.errors import CoverageError
from streamer.color import planes_of

__all__ = ["CoverStyle", "cover_into", "cover_rect"]

CoverStyle = Literal["blur", "pixelate", "fill"]

# Cells over the shorter side. With five, EdgeFace-XXS and dlib still took 39 and 21 % of the faces
# of a clip for the same person; with three 23 and 0 %, no more than with a flat fill (28 and 7).
_CELLS: Final = 3
# Of the shorter side; around the rectangle, which is hidden as with coarse pixels.
_EDGE_RATIO: Final = 0.08


def cover_rect(box_xyxy_px: Float32Array, size_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """The even-aligned rectangle that hides a box.

    Args:
        box_xyxy_px: (4,) corners in frame pixels, margins included.
        size_hw: height and width of the frame.

    Returns:
        x, y, width, height in pixels; width and height are 0 when the box lies outside.

    Raises:
        CoverageError: the box is not finite.
    """
    if not np.isfinite(box_xyxy_px).all():
        raise CoverageError("a tracked face has no finite box, so its frame cannot be covered")
    height, width = size_hw
    x1, y1, x2, y2 = (float(value) for value in box_xyxy_px)
    left = int(np.clip(np.floor(x1 / 2) * 2, 0, width))
    top = int(np.clip(np.floor(y1 / 2) * 2, 0, height))
    right = int(np.clip(np.ceil(x2 / 2) * 2, 0, width))
    bottom = int(np.clip(np.ceil(y2 / 2) * 2, 0, height))
    return left, top, max(0, right - left), max(0, bottom - top)


def cover_into(
    canvas: UInt8Array, rect_xywh_px: tuple[int, int, int, int], style: CoverStyle
) -> tuple[int, int, int, int]:
    """Hide a rectangle of an I420 picture.

    Args:
        canvas: (3H/2, W) uint8 I420, written to.
        rect_xywh_px: even-aligned rectangle inside the frame.
        style: coarse pixels, the same without their edges, or one flat value per plane.

    Returns:
        The even-aligned rectangle that holds every changed pixel: a blur runs out around the one
        that it hides.
    """
    x, y, w, h = rect_xywh_px
    if not w or not h:
        return rect_xywh_px
    height, width = canvas.shape[0] * 2 // 3, canvas.shape[1]
    short = min(w, h)
    cells_hw = (max(1, round(h / short * _CELLS)), max(1, round(w / short * _CELLS)))
    cells_hw = (min(cells_hw[0], h // 2), min(cells_hw[1], w // 2))
    edge = round(short * _EDGE_RATIO / 2) * 2 if style == "blur" else 0
    left, top = max(x - edge, 0), max(y - edge, 0)
    right, bottom = min(x + w + edge, width), min(y + h + edge, height)
    room = (x - left, y - top, right - x - w, bottom - y - h)
    for plane, scale in zip(planes_of(canvas), (1, 2, 2), strict=True):
        region = plane[top // scale : bottom // scale, left // scale : right // scale]
        _cover_plane_into(region, style, cells_hw, tuple(value // scale for value in room))
    return left, top, right - left, bottom - top


def _cover_plane_into(
    region: UInt8Array, style: CoverStyle, cells_hw: tuple[int, int], room: tuple[int, ...]
) -> None:
    """Hide a part of a plane but for the room left, above, right and below, where it runs out."""
    left, top, right, bottom = room
    inner = region[top : region.shape[0] - bottom, left : region.shape[1] - right]
    if style == "fill":
        inner[:] = int(np.median(inner))
        return
    height, width = inner.shape
    small = cv2.resize(inner, (cells_hw[1], cells_hw[0]), interpolation=cv2.INTER_AREA)
    if style == "pixelate":
        inner[:] = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST)
        return
    smooth = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    smooth = cv2.copyMakeBorder(smooth, top, bottom, left, right, cv2.BORDER_REPLICATE)
    share = np.outer(_runs_out(height, top, bottom), _runs_out(width, left, right))
    np.copyto(region, np.rint(region + share * (smooth - region.astype(np.float32))), "unsafe")


def _runs_out(length: int, before: int, after: int) -> Float32Array:
    """1 over a length, and down towards 0 in the room before and after it."""
    ends = [np.arange(1, n + 1, dtype=np.float32) / (n + 1) for n in (before, after)]
    return np.concatenate([ends[0], np.ones(length, np.float32), ends[1][::-1]])
