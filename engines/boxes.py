"""Boxes: decoding of SCRFD-style maps, overlap, and non-maximum suppression."""

from __future__ import annotations

import numpy as np

from engines.arrays import AnyArray, Float32Array
from engines.errors import EngineRunError

__all__ = ["RawFaces", "decode_stride", "iou_matrix", "nms"]

_MOST = 1000  # bounds time and memory when a broken network sees faces everywhere
RawFaces = tuple[Float32Array, Float32Array, Float32Array]
"""Boxes ``(K, 4)``, landmarks ``(K, 5, 2)`` and scores ``(K,)`` in network pixels."""


def decode_stride(
    scores: AnyArray,
    distances: AnyArray,
    offsets: AnyArray,
    *,
    stride_px: int,
    columns: int,
    anchors: int,
    threshold: float,
) -> RawFaces:
    """Decode one stride of one picture.

    Args:
        scores: ``(cells * anchors,)`` in [0, 1].
        distances: ``(cells * anchors, 4)`` left, top, right, bottom, in strides.
        offsets: ``(cells * anchors, 10)`` x y of five points, in strides.
        stride_px: pixels per cell.
        columns: cells in a row.
        anchors: anchors per cell, all at the cell's origin.
        threshold: least score kept.

    Returns:
        Boxes, landmarks and scores of what was kept, in network pixels.

    Raises:
        EngineRunError: scores or boxes are not finite. A comparison with NaN is false, so they
            would otherwise count as a picture without faces.
    """
    keep = np.flatnonzero(scores >= threshold)
    if not np.isfinite(scores).all() or not np.isfinite(distances[keep]).all():
        raise EngineRunError("the face detector gave values that are not finite")
    if not len(keep):  # most looks at most strides: a dozen steps with nothing in them
        nothing = np.zeros((0, 4), np.float32)
        return nothing, np.zeros((0, 5, 2), np.float32), nothing[:, 0]
    row, column = np.divmod(keep // anchors, columns)
    origin = np.stack([column, row], 1).astype(np.float32) * stride_px
    reach = distances[keep].astype(np.float32) * stride_px
    boxes = np.concatenate([origin - reach[:, :2], origin + reach[:, 2:]], 1)
    points = origin[:, None] + offsets[keep].reshape(-1, 5, 2).astype(np.float32) * stride_px
    return boxes, points, scores[keep].astype(np.float32)


def iou_matrix(first: Float32Array, second: Float32Array) -> Float32Array:
    """Intersection over union of each box of ``first (A, 4)`` with each of ``second (B, 4)``."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = (high - low).clip(0).prod(-1)
    area_first = (first[:, 2:] - first[:, :2]).clip(0).prod(1)
    area_second = (second[:, 2:] - second[:, :2]).clip(0).prod(1)
    union = area_first[:, None] + area_second[None] - shared
    return np.asarray(shared / np.maximum(union, 1e-9), np.float32)


def nms(boxes: Float32Array, scores: Float32Array, *, iou_threshold: float) -> AnyArray:
    """Return the indices of boxes that no stronger kept box overlaps by more than the threshold.

    Strongest first.  Boxes with a side of no length or with numbers that are not finite are
    dropped, so that nothing behind has to deal with them.
    """
    if not len(boxes):
        return np.zeros(0, np.int64)
    sound = np.isfinite(boxes).all(1) & np.isfinite(scores) & (boxes[:, 2:] > boxes[:, :2]).all(1)
    order = np.flatnonzero(sound)
    order = order[np.argsort(-scores[order], kind="stable")][:_MOST]
    overlap = iou_matrix(boxes[order], boxes[order]) > iou_threshold
    alive = np.ones(len(order), np.bool_)
    for position in range(len(order)):
        if alive[position]:
            alive[position + 1 :] &= ~overlap[position, position + 1 :]
    return order[alive]
