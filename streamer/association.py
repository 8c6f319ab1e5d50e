"""Association: which detection continues which track."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from engines.arrays import Float32Array, Float64Array

__all__ = ["box_overlaps", "box_sides_px", "contained_ratios", "match_boxes", "paired_overlaps"]

_FORBIDDEN: Final = 1e6
_IOU_WEIGHT: Final = 0.6
_DISTANCE_WEIGHT: Final = 0.4


def box_sides_px(boxes_xyxy_px: Float32Array | Float64Array) -> Float64Array:
    """Root of the area of each (..., 4) box: (...) float64, at least a hundredth of a pixel."""
    sizes = np.maximum(boxes_xyxy_px[..., 2:] - boxes_xyxy_px[..., :2], 1e-2)
    return np.asarray(np.sqrt(sizes[..., 0] * sizes[..., 1]), np.float64)


def _intersections(first: Float32Array, second: Float32Array) -> Float64Array:
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    return np.asarray(np.maximum(high - low, 0).prod(-1), np.float64)


def box_overlaps(first: Float32Array, second: Float32Array) -> Float64Array:
    """Intersection over union of (N, 4) with (M, 4) boxes: (N, M) float64."""
    return paired_overlaps(first[:, None], second[None])


def paired_overlaps(first: Float32Array, second: Float32Array) -> Float64Array:
    """Intersection over union of each of (..., 4) boxes with its partner: (...) float64."""
    shared = _intersections(first, second)
    return np.asarray(shared / (box_sides_px(first) ** 2 + box_sides_px(second) ** 2 - shared))


def contained_ratios(first: Float32Array, second: Float32Array) -> Float64Array:
    """Which share of each (N, 4) box lies inside each (M, 4) box: (N, M) float64."""
    return np.asarray(
        _intersections(first[:, None], second[None]) / box_sides_px(first)[:, None] ** 2
    )


def match_boxes(
    expected_xyxy_px: Float32Array,
    found_xyxy_px: Float32Array,
    *,
    gates: Float64Array,
    min_iou: float,
    max_size_ratio: float,
) -> list[tuple[int, int]]:
    """Best one-to-one pairs of expected and found boxes.

    A pair is allowed when the boxes overlap enough or their centres are near, and their sizes are
    alike. Small faces move by more than their size between frames, so overlap alone loses them.

    Args:
        expected_xyxy_px: (N, 4) where the tracks should be.
        found_xyxy_px: (M, 4) detections.
        gates: (N,) largest centre distance by the expected size.
        min_iou: overlap that allows a pair at any distance.
        max_size_ratio: largest ratio of the two sizes.

    Returns:
        Pairs (row of expected, row of found).
    """
    if not len(expected_xyxy_px) or not len(found_xyxy_px):
        return []
    overlap = box_overlaps(expected_xyxy_px, found_xyxy_px)
    centres = (expected_xyxy_px[:, :2] + expected_xyxy_px[:, 2:]) / 2
    others = (found_xyxy_px[:, :2] + found_xyxy_px[:, 2:]) / 2
    sides, other_sides = box_sides_px(expected_xyxy_px), box_sides_px(found_xyxy_px)
    apart = np.linalg.norm(centres[:, None] - others[None], axis=-1) / sides[:, None]
    ratio = sides[:, None] / other_sides[None]
    nearness = apart / gates[:, None]
    allowed: NDArray[np.bool_] = (overlap >= min_iou) | (nearness <= 1.0)
    allowed &= (ratio <= max_size_ratio) & (ratio >= 1 / max_size_ratio)
    cost = _IOU_WEIGHT * (1 - overlap) + _DISTANCE_WEIGHT * np.minimum(nearness, 1.0)
    rows, columns = linear_sum_assignment(np.where(allowed, cost, _FORBIDDEN))
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, column) for row, column in pairs if allowed[row, column]]
