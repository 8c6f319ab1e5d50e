"""Finding faces in whole frames, also in pictures that are stored on their side."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import cv2
import numpy as np

from engines.arrays import AnyArray, Float32Array, UInt8Array
from engines.detector import FaceDetector
from engines.types import Detections
from streamer.color import planes_of
from streamer.frames import Frame

__all__ = ["FaceFinder", "input_side_px"]

# Detections too weak to continue a track still keep a track's end covered where it expects them.
_LOOSEST_SCORE: Final = 0.15
_STRIDE_PX: Final = 32  # of the detector: sides of its input are multiples of it
_CODES: Final = {
    90: cv2.ROTATE_90_COUNTERCLOCKWISE,
    180: cv2.ROTATE_180,
    270: cv2.ROTATE_90_CLOCKWISE,
}


def input_side_px(size_hw: tuple[int, int], asked_px: int) -> int:
    """Longer side of the detector's input for a frame size; `asked_px` 0 chooses."""
    if asked_px:
        return asked_px
    longest = max(size_hw)
    # 24 px faces of a 1080p frame must not shrink below what the detector was trained for.
    return 640 if longest <= 1280 else 960


def _turned(pixels: UInt8Array, rotation_deg: int) -> UInt8Array:
    """An I420 picture turned counter-clockwise."""
    return _stacked([cv2.rotate(plane, _CODES[rotation_deg]) for plane in planes_of(pixels)])


def _part_of(frame: Frame, part_xyxy_px: tuple[int, int, int, int]) -> UInt8Array:
    """A part of a frame as I420; its edges move out to the next multiple of four pixels."""
    height, width = frame.size_hw
    x1, y1 = (value // 4 * 4 for value in part_xyxy_px[:2])
    # An edge that is no multiple of four loses what is left of it to the even picture.
    x2, y2 = (
        max(start + 4, min(math.ceil(end / 4), whole // 4) * 4)
        for start, end, whole in zip((x1, y1), part_xyxy_px[2:], (width, height), strict=True)
    )
    luma, *chroma = planes_of(frame.pixels)
    halves = [plane[y1 // 2 : y2 // 2, x1 // 2 : x2 // 2] for plane in chroma]
    return _stacked([luma[y1:y2, x1:x2], *halves])


def _stacked(planes: Sequence[AnyArray]) -> UInt8Array:
    """Y, U and V planes as one I420 picture; the height of Y is a multiple of four."""
    width = planes[0].shape[1]
    return np.concatenate([np.asarray(plane, np.uint8).reshape(-1, width) for plane in planes])


def _points_back(points: Float32Array, size_hw: tuple[int, int], rotation_deg: int) -> Float32Array:
    """Points (..., 2) in the turned picture to points in the stored one."""
    height, width = size_hw
    x, y = points[..., 0], points[..., 1]
    if rotation_deg == 90:
        return np.stack([width - y, x], axis=-1)
    if rotation_deg == 180:
        return np.stack([width - x, height - y], axis=-1)
    return np.stack([y, height - x], axis=-1)


def _points_turned(
    points: Float32Array, size_hw: tuple[int, int], rotation_deg: int
) -> Float32Array:
    """Points (..., 2) in the stored picture to points in the turned one."""
    height, width = size_hw
    x, y = points[..., 0], points[..., 1]
    if rotation_deg == 90:
        return np.stack([y, width - x], axis=-1)
    if rotation_deg == 180:
        return np.stack([width - x, height - y], axis=-1)
    return np.stack([height - y, x], axis=-1)


class FaceFinder:
    """Runs the detector on frames. Safe to call from several threads if its engine is.

    Args:
        detector: the network.
        rotation_deg: counter-clockwise turn that makes the stored picture upright.
        long_side_px: length of the longer side of the network's input.
    """

    def __init__(self, detector: FaceDetector, *, rotation_deg: int, long_side_px: int) -> None:
        self._detector = detector
        self._rotation_deg = rotation_deg
        self._long_side_px = long_side_px

    def find(self, frame: Frame) -> Detections:
        """All faces, far below the thresholds of the tracker too, in frame pixels."""
        found = self._detect(frame.pixels, self._long_side_px)
        return self._back(found, frame.size_hw) if self._rotation_deg else found

    def sees_any(self, frame: Frame, part_xyxy_px: tuple[int, int, int, int]) -> bool:
        """Whether anything in a part of a frame might be a face, at the scale of the whole frame.

        Args:
            frame: the frame.
            part_xyxy_px: left, top, right and bottom edge in pixels as they are stored.
        """
        pixels = _part_of(frame, part_xyxy_px)
        scale = self._long_side_px / max(frame.size_hw)
        side_px = max(pixels.shape[0] * 2 // 3, pixels.shape[1]) * scale
        return len(self._detect(pixels, math.ceil(side_px / _STRIDE_PX) * _STRIDE_PX)) > 0

    def _detect(self, pixels: UInt8Array, long_side_px: int) -> Detections:
        """What is found in an I420 picture as it is stored, where it lies once upright."""
        if self._rotation_deg:
            pixels = _turned(pixels, self._rotation_deg)
        return self._detector.detect_i420(
            [pixels],
            threshold=min(self._detector.settings.keep_threshold, _LOOSEST_SCORE),
            long_side_px=long_side_px,
        )[0]

    def refine(self, frame: Frame, found: Detections) -> Detections:
        """The same faces with the landmarks that they have in this frame.

        Args:
            frame: the frame.
            found: boxes that hold for it, and landmarks that need not.
        """
        luma = frame.pixels[: frame.size_hw[0]]
        if not self._rotation_deg or not len(found):
            return self._detector.refine(luma, found)
        upright = _moved(found, _points_turned, frame.size_hw, self._rotation_deg)
        luma = np.asarray(cv2.rotate(luma, _CODES[self._rotation_deg]), np.uint8)
        return self._back(self._detector.refine(luma, upright), frame.size_hw)

    def _back(self, found: Detections, size_hw: tuple[int, int]) -> Detections:
        return _moved(found, _points_back, size_hw, self._rotation_deg)


def _moved(
    found: Detections,
    move: Callable[[Float32Array, tuple[int, int], int], Float32Array],
    size_hw: tuple[int, int],
    rotation_deg: int,
) -> Detections:
    corners = move(found.boxes_xyxy_px.reshape(-1, 2, 2), size_hw, rotation_deg)
    boxes = np.concatenate([corners.min(axis=1), corners.max(axis=1)], axis=1)
    points = move(found.landmarks_px, size_hw, rotation_deg)
    return Detections(
        boxes.astype(np.float32).reshape(-1, 4), points.astype(np.float32), found.scores
    )
