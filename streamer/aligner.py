"""Alignment: from five landmarks to the similarity transform of a face crop, and back.

The transform is the least-squares similarity (Umeyama, no reflection) that takes the landmarks to
the ArcFace template; with points as complex numbers it has a closed form, so whole tracks are
solved at once. The template of 112 px lies at offset 24 of a 160 px crop and scales with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.arrays import Float32Array, Float64Array, UInt8Array

__all__ = [
    "CANVAS_PX",
    "ENCODER_PX",
    "AlignerOptions",
    "crop_bounds_xyxy_px",
    "encoder_crop",
    "encoder_views",
    "face_size_px",
    "invert_similarity",
    "plausible_landmarks",
    "similarities_from_landmarks",
    "similarity_from_landmarks",
    "template_px",
    "transform_points",
]

_TEMPLATE_112: Final = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ],
    np.float64,
)
_OFFSET_PX: Final = 24.0
# Side of the canvas on which the encoder's crop is the middle.
CANVAS_PX: Final = 160
# Side of the crop that the identity encoder takes.
ENCODER_PX: Final = 112
# A crop smaller than this share of a pixel per template pixel comes from collapsed landmarks.
_MIN_SCALE: Final = 1e-3


@dataclass(frozen=True, slots=True)
class AlignerOptions:
    """When five landmarks are believed.

    Attributes:
        max_residual_ratio: root mean square error of the fit, by the size of the face.
        box_margin_ratio: how far a landmark may lie outside the box, by the size of the box.
        min_scale_ratio: smallest face size by the template over that by the box.
        max_scale_ratio: largest such ratio.
        max_centre_offset_ratio: from the box centre to the face centre, by the size of the box.
        max_yaw_ratio: sideways way of the nose from the middle of eyes and mouth, by face size.
        max_roll_deg: turn of the head in the picture plane; any, since pictures may be stored on
            their side or head.
    """

    max_residual_ratio: float = 0.12
    box_margin_ratio: float = 0.12
    min_scale_ratio: float = 0.55
    max_scale_ratio: float = 1.7
    max_centre_offset_ratio: float = 0.3
    max_yaw_ratio: float = 0.34
    max_roll_deg: float = 180.0


def template_px(crop_size_px: int) -> Float64Array:
    """The five template points in a crop of this size: (5, 2) float64."""
    return (_TEMPLATE_112 + _OFFSET_PX) * (crop_size_px / CANVAS_PX)


def _as_complex(points_px: Float32Array | Float64Array) -> NDArray[np.complex128]:
    points = np.asarray(points_px, np.float64)
    return np.asarray(points[..., 0] + 1j * points[..., 1], np.complex128)


def similarities_from_landmarks(
    landmarks_px: Float32Array | Float64Array, crop_size_px: int
) -> Float64Array:
    """Solve many faces at once.

    Args:
        landmarks_px: (N, 5, 2) in frame pixels.
        crop_size_px: side of the square crop.

    Returns:
        frame_from_crop: (N, 2, 3) float64, crop pixels to frame pixels; NaN where the landmarks
        fall in one point or are not finite.
    """
    points = _as_complex(landmarks_px)
    target = _as_complex(template_px(crop_size_px))
    point_mean, target_mean = points.mean(-1), target.mean()
    centred = points - point_mean[..., None]
    with np.errstate(invalid="ignore", divide="ignore"):
        turn = (centred.conj() * (target - target_mean)).sum(-1)
        spread = (centred.conj() * centred).sum(-1).real
        # crop = turn/spread * frame + ...; its inverse is what warping and pasting need.
        scale = spread / turn
        fine = np.isfinite(scale) & (np.abs(scale) > _MIN_SCALE)
        shift = point_mean - scale * target_mean
    out = np.empty((*scale.shape, 2, 3), np.float64)
    out[..., 0, 0], out[..., 0, 1], out[..., 0, 2] = scale.real, -scale.imag, shift.real
    out[..., 1, 0], out[..., 1, 1], out[..., 1, 2] = scale.imag, scale.real, shift.imag
    out[~fine] = np.nan
    return out


def similarity_from_landmarks(
    landmarks_px: Float32Array | Float64Array, crop_size_px: int
) -> Float64Array:
    """frame_from_crop (2, 3) float64 of one face; see `similarities_from_landmarks`.

    Raises:
        ValueError: the landmarks fall in one point or are not finite.
    """
    transform = similarities_from_landmarks(landmarks_px[None], crop_size_px)
    if not np.isfinite(transform).all():
        raise ValueError("the five landmarks do not span a face")
    return transform.reshape(2, 3)


def invert_similarity(transform: Float64Array) -> Float64Array:
    """The inverse of a (..., 2, 3) similarity, such as crop_from_frame."""
    scale = transform[..., 0, 0] + 1j * transform[..., 1, 0]
    shift = transform[..., 0, 2] + 1j * transform[..., 1, 2]
    inverse = 1.0 / scale
    moved = -inverse * shift
    out = np.empty_like(transform)
    out[..., 0, 0], out[..., 0, 1], out[..., 0, 2] = inverse.real, -inverse.imag, moved.real
    out[..., 1, 0], out[..., 1, 1], out[..., 1, 2] = inverse.imag, inverse.real, moved.imag
    return out


def transform_points(transform: Float64Array, points: Float32Array | Float64Array) -> Float64Array:
    """Apply a (2, 3) transform to (N, 2) points: (N, 2) float64."""
    return np.asarray(points, np.float64) @ transform[:, :2].T + transform[:, 2]


def encoder_crop(frame_from_crop: Float64Array, crop_size_px: float) -> Float64Array:
    """The encoder's 112 px crop: the middle of an aligned crop, whatever that one's size.

    Args:
        frame_from_crop: (2, 3) transform of the aligned crop.
        crop_size_px: its side.

    Returns:
        (2, 3) frame_from_crop of the encoder's crop.
    """
    scale = crop_size_px / CANVAS_PX
    matrix = frame_from_crop.copy()
    matrix[:, :2] *= scale
    matrix[:, 2] += matrix[:, :2] @ np.full(2, _OFFSET_PX)
    return matrix


def encoder_views(crops: UInt8Array) -> UInt8Array:
    """The encoder's crops out of aligned ones: (N, S, S, 3) uint8 to (N, 112, 112, 3)."""
    size = crops.shape[1]
    margin = round(size * _OFFSET_PX / CANVAS_PX)
    middle = crops[:, margin : size - margin, margin : size - margin]
    if middle.shape[1] != ENCODER_PX:
        shape = (ENCODER_PX, ENCODER_PX)
        middle = np.stack([cv2.resize(x, shape, interpolation=cv2.INTER_AREA) for x in middle])
    return np.ascontiguousarray(middle)


def crop_bounds_xyxy_px(frame_from_crop: Float64Array, crop_size_px: int) -> Float64Array:
    """The upright box around a crop in frame pixels: (4,) float64."""
    side = float(crop_size_px)
    corners = np.array([[0.0, 0.0], [side, 0.0], [side, side], [0.0, side]])
    corners = transform_points(frame_from_crop, corners)
    return np.concatenate([corners.min(0), corners.max(0)])


def face_size_px(frame_from_crop: Float64Array, crop_size_px: int) -> Float64Array:
    """Side of the ArcFace square (112 of 160) in frame pixels, for (..., 2, 3) transforms."""
    scale = np.hypot(frame_from_crop[..., 0, 0], frame_from_crop[..., 1, 0])
    return np.asarray(scale * crop_size_px * (112.0 / CANVAS_PX))


def plausible_landmarks(
    landmarks_px: Float32Array | Float64Array,
    boxes_xyxy_px: Float32Array | Float64Array,
    options: AlignerOptions,
) -> NDArray[np.bool_]:
    """Whether landmarks look like a face that fills its box, and may be aligned.

    Args:
        landmarks_px: (N, 5, 2) in frame pixels; NaN where unknown.
        boxes_xyxy_px: (N, 4) boxes of the same faces.
        options: the limits.

    Returns:
        (N,) bool.
    """
    points = np.asarray(landmarks_px, np.float64)
    boxes = np.asarray(boxes_xyxy_px, np.float64)
    transform = similarities_from_landmarks(points, CANVAS_PX)
    side = face_size_px(transform, CANVAS_PX)
    sizes = boxes[:, 2:] - boxes[:, :2]
    box_side = np.sqrt(np.maximum(sizes[:, 0] * sizes[:, 1], 1e-9))
    with np.errstate(invalid="ignore", divide="ignore"):
        crop_from_frame = invert_similarity(transform)
        turned = np.einsum("nij,nkj->nki", crop_from_frame[:, :, :2], points)
        turned += crop_from_frame[:, None, :, 2]
        error = turned - template_px(CANVAS_PX)
        residual = np.sqrt((error**2).sum(-1).mean(-1)) / 112.0
        # The middle of eyes and mouth corners, where the nose of a frontal face lies.
        middle = turned[:, [0, 1, 3, 4]].mean(1)
        yaw = np.abs(turned[:, 2, 0] - middle[:, 0]) / 112.0
        roll = np.degrees(np.abs(np.arctan2(transform[:, 1, 0], transform[:, 0, 0])))
        margin = options.box_margin_ratio * sizes[:, None, :]
        inside = (points >= boxes[:, None, :2] - margin) & (points <= boxes[:, None, 2:] + margin)
        centre = points[:, [0, 1, 3, 4]].mean(1)
        offset = np.linalg.norm(centre - (boxes[:, :2] + boxes[:, 2:]) / 2, axis=1) / box_side
        # Eyes above the mouth and the left eye left of the right one, once turned upright.
        upright = (turned[:, 3:, 1].min(1) > turned[:, :2, 1].max(1)) & (
            turned[:, 1, 0] > turned[:, 0, 0]
        )
        ratio = side / box_side
        fine = (
            inside.all((1, 2))
            & (residual <= options.max_residual_ratio)
            & (yaw <= options.max_yaw_ratio)
            & (roll <= options.max_roll_deg)
            & (ratio >= options.min_scale_ratio)
            & (ratio <= options.max_scale_ratio)
            & (offset <= options.max_centre_offset_ratio)
            & upright
        )
    return np.asarray(fine & np.isfinite(points).all((1, 2)), np.bool_)
