"""Mask cover: how much of a detected face the mask of a synthetic one hides."""

from __future__ import annotations

from typing import Final

import numpy as np

from engines.arrays import Float64Array
from engines.face_mask import face_mask
from streamer.aligner import invert_similarity

__all__ = ["hidden_ratios"]

# The corners of a box show no face, so the probes fill its inscribed ellipse, nearly to the rim.
_STEPS: Final = 9
_REACH: Final = 0.85
_MASK_MIN: Final = 0.5


def _probes() -> Float64Array:
    axis = np.linspace(-1.0, 1.0, _STEPS)
    points = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    inside = (points**2).sum(1) <= 1.0
    return np.asarray(points[inside] * _REACH / 2, np.float64)


_PROBES: Final = _probes()


def hidden_ratios(
    frame_from_crop: Float64Array, boxes_xyxy_px: Float64Array, crop_size_px: int
) -> Float64Array:
    """The share of each face box that lies under the mask of its synthetic face.

    Args:
        frame_from_crop: (N, 2, 3), NaN where there is none.
        boxes_xyxy_px: (N, 4) detected boxes, without margins.
        crop_size_px: side of the crops.

    Returns:
        (N,) float64 in [0, 1]; 0 where there is no transform.
    """
    mask = np.asarray(face_mask(crop_size_px), np.float64)
    middle = (boxes_xyxy_px[:, None, :2] + boxes_xyxy_px[:, None, 2:]) / 2
    points = middle + _PROBES * (boxes_xyxy_px[:, None, 2:] - boxes_xyxy_px[:, None, :2])
    usable = np.asarray(np.isfinite(frame_from_crop).all((1, 2)), np.bool_)
    identity = np.array([[1.0, 0.0, -1e6], [0.0, 1.0, -1e6]])
    inverse = invert_similarity(np.where(usable[:, None, None], frame_from_crop, identity))
    turned = np.einsum("nij,nkj->nki", inverse[:, :, :2], points) + inverse[:, None, :, 2]
    cells = np.floor(turned + 0.5).astype(np.int64)
    inside = ((cells >= 0) & (cells < crop_size_px)).all(-1)
    cells = np.clip(cells, 0, crop_size_px - 1)
    hidden = (mask[cells[..., 1], cells[..., 0]] >= _MASK_MIN) & inside
    return np.where(usable, hidden.mean(1), 0.0)
