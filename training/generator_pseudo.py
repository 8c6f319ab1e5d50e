"""Pseudo-swaps: a stranger's face warped and blended into a picture, as the generator's input.

The picture itself is then the wanted output for its own identity: a real photograph as the ground
truth of a swap, which the generator cannot reach by copying its input.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["nearest_pose", "pseudo_swap"]

_SIZE_PX: Final = 160
_GRID: Final = 20
_SMOOTH_PX: Final = 9.0
_EDGE_PX: Final = 4.0
_CONTROL: Final = [
    *range(0, 17, 2),
    *(17, 19, 21, 22, 24, 26, 27, 30, 31, 33, 35),
    *range(36, 48),
    *(48, 50, 52, 53, 55, 57, 58, 60, 62, 64),
]
_HULL: Final = [*range(1, 16), *range(17, 27)]
_BROWS: Final = slice(15, 25)  # within _HULL
_ANCHORS: Final = np.array(
    [[x, y] for x in (0, 80, 159) for y in (0, 80, 159) if (x, y) != (80, 80)], np.float64
)

Floats = NDArray[np.float32]


def nearest_pose(marks: Floats, others: Floats) -> int:
    """Which of ``others`` (M, 66, 3) has the landmarks nearest to ``marks`` (66, 3)."""
    distance = np.abs(others[:, :, :2] - marks[None, :, :2]).mean((1, 2))
    return int(distance.argmin())


def pseudo_swap(
    crop: NDArray[np.uint8], marks: Floats, other: NDArray[np.uint8], other_marks: Floats
) -> NDArray[np.uint8]:
    """The face of ``other`` in the place, expression and light of ``crop``.

    Args:
        crop: (160, 160, 3) uint8 RGB.
        marks: (66, 3) its landmarks in pixels, and their confidence.
        other: (160, 160, 3) uint8 RGB.
        other_marks: (66, 3).

    Returns:
        (160, 160, 3) uint8 RGB.
    """
    across, down = _warp_maps(marks, other_marks)
    warped = cv2.remap(other, across, down, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    mask = _face_mask(marks)
    base, face = crop.astype(np.float32), warped.astype(np.float32)
    inner = np.maximum(cv2.GaussianBlur(mask, (0, 0), _SMOOTH_PX), 1e-3)[..., None]
    light = cv2.GaussianBlur((base - face) * mask[..., None], (0, 0), _SMOOTH_PX) / inner
    soft = cv2.GaussianBlur(mask, (0, 0), _EDGE_PX)[..., None]
    return np.asarray((base + soft * (face + light - base)).clip(0, 255), np.uint8)


def _warp_maps(marks: Floats, other_marks: Floats) -> tuple[Floats, Floats]:
    """Where each pixel of the crop lies in the other picture (thin plate spline)."""
    here = np.vstack([marks[_CONTROL, :2].astype(np.float64), _ANCHORS])
    there = np.vstack([other_marks[_CONTROL, :2].astype(np.float64), _ANCHORS])
    n = len(here)
    system = np.zeros((n + 3, n + 3))
    system[:n, :n] = _kernel(here, here) + 20.0 * np.eye(n)
    system[:n, n] = system[n, :n] = 1
    system[:n, n + 1 :], system[n + 1 :, :n] = here, here.T
    right = np.zeros((n + 3, 2))
    right[:n] = there - here
    weights = np.linalg.solve(system, right)
    # Node centres of the coarse grid, so that resizing puts the values where they belong.
    axis = (np.arange(_GRID) + 0.5) * (_SIZE_PX / _GRID) - 0.5
    x, y = np.meshgrid(axis, axis)
    nodes = np.stack([x.ravel(), y.ravel()], 1)
    moved = _kernel(nodes, here) @ weights[:n] + weights[n] + nodes @ weights[n + 1 :]
    field = moved.reshape(_GRID, _GRID, 2).astype(np.float32)
    field = cv2.resize(field, (_SIZE_PX, _SIZE_PX), interpolation=cv2.INTER_CUBIC)
    pixel = np.arange(_SIZE_PX, dtype=np.float32)
    return field[..., 0] + pixel[None, :], field[..., 1] + pixel[:, None]


def _kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    square = ((a[:, None] - b[None]) ** 2).sum(2)
    return np.asarray(0.5 * square * np.log(square + 1e-6) / 100.0, np.float64)


def _face_mask(marks: Floats) -> Floats:
    outline = marks[_HULL, :2].copy()
    outline[_BROWS, 1] -= 9
    hull = cv2.convexHull(outline.round().astype(np.int32))
    mask = np.zeros((_SIZE_PX, _SIZE_PX), np.float32)
    cv2.fillConvexPoly(mask, hull, (1.0,))
    return np.asarray(cv2.erode(mask, np.ones((5, 5), np.uint8)), np.float32)
