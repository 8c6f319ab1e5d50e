"""Affine views of labelled pictures: how boxes and landmarks follow a 2x3 transform."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data_scenes import Faces

__all__ = [
    "boxes_through",
    "clip_faces",
    "faces_through",
    "is_turned",
    "points_through",
    "similarity",
    "warp",
]


def similarity(
    *,
    scale: float,
    angle_deg: float,
    source_xy: tuple[float, float],
    target_xy: tuple[float, float],
) -> NDArray[np.float64]:
    """Return the 2x3 map that scales and turns about ``source_xy``, and moves it to the target."""
    c, s = scale * math.cos(math.radians(angle_deg)), scale * math.sin(math.radians(angle_deg))
    linear = np.array([[c, -s], [s, c]])
    return np.hstack([linear, (np.array(target_xy) - linear @ np.array(source_xy))[:, None]])


def points_through(matrix: NDArray[np.float64], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Move ``points (..., 2)``; NaN stays NaN."""
    return np.asarray(points @ matrix[:, :2].T + matrix[:, 2], np.float32)


def is_turned(points: NDArray[np.float32], ratio: float) -> NDArray[np.bool_]:
    """Which heads of ``points (N, 5, 2)`` look aside, ``(N,)``.

    Their nose lies further than ``ratio`` eye distances beside the middle of the eyes, along the
    line of the eyes.
    """
    eyes = points[:, 1] - points[:, 0]
    aside = ((points[:, 2] - points[:, :2].mean(1)) * eyes).sum(1)
    return np.asarray(np.abs(aside) > ratio * np.square(eyes).sum(1))


def boxes_through(matrix: NDArray[np.float64], box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Move ``box (K, 4)``: bounds of the turned ellipse inside each box, since heads are round."""
    middle = np.asarray((box[:, :2] + box[:, 2:]) / 2, np.float32)
    centre = points_through(matrix, middle)
    half = (box[:, 2:] - box[:, :2]) / 2
    reach = np.sqrt(np.square(half) @ np.square(matrix[:, :2]).T)
    return np.concatenate([centre - reach, centre + reach], 1).astype(np.float32)


def faces_through(matrix: NDArray[np.float64], faces: Faces) -> Faces:
    """Move all faces."""
    return Faces(
        boxes_through(matrix, faces.box_xyxy_px),
        points_through(matrix, faces.points_px),
        faces.ignore,
    )


def clip_faces(faces: Faces, *, size_wh: tuple[int, int], smallest_px: float) -> Faces:
    """Clip to the canvas; faces mostly outside or too small become ``ignore``, those outside go."""
    box = faces.box_xyxy_px
    limit = np.array([*size_wh, *size_wh], np.float32)
    clipped = np.clip(box, 0, limit)
    area = np.maximum((box[:, 2:] - box[:, :2]).prod(1), 1e-3)
    extent = (clipped[:, 2:] - clipped[:, :2]).clip(0)
    visible = extent.prod(1) / area
    doubtful = (visible < 0.4) | (extent.min(1, initial=np.inf) < smallest_px)
    moved = Faces(clipped.astype(np.float32), faces.points_px, faces.ignore | doubtful)
    return moved.select(visible > 0.02)


def warp(
    rgb: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    size_wh: tuple[int, int],
    *,
    border: tuple[int, int, int],
) -> NDArray[np.uint8]:
    """Warp ``rgb``, shrinking first by whole factors so that small views do not alias."""
    scale = math.sqrt(abs(float(np.linalg.det(matrix[:, :2]))))
    matrix = matrix.copy()
    if scale < 0.7:
        width, height = (max(1, round(v * scale * 1.2)) for v in rgb.shape[1::-1])
        matrix[:, 0] *= rgb.shape[1] / width
        matrix[:, 1] *= rgb.shape[0] / height
        rgb = np.asarray(cv2.resize(rgb, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    out = cv2.warpAffine(rgb, matrix, size_wh, flags=cv2.INTER_LINEAR, borderValue=border)
    return np.asarray(out, np.uint8)
