"""The part of an aligned crop that a synthetic face may paint, with a soft edge."""

from __future__ import annotations

from functools import cache

import numpy as np

from engines.arrays import Float32Array, UInt8Array

__all__ = ["CORE_MASK_RATIO", "blended", "core_mask", "face_mask"]

# Geometry on the 160 px canvas (five-point template at offset 24): eyes at y = 76, mouth at
# y = 116, chin near 142, hair line near 38, cheeks at x = 80 +- 42.
_CENTRE_XY = (80.0, 90.0)
_RADII_XY = (54.0, 64.0)
_EDGE = 0.16
CORE_MASK_RATIO = 0.62


def _radius(size: int) -> Float32Array:
    """Superelliptic distance from the centre: 1 on the outline. (S, S) float32."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) * (160.0 / size)
    x = np.abs(axis - _CENTRE_XY[0]) / _RADII_XY[0]
    y = np.abs(axis - _CENTRE_XY[1]) / _RADII_XY[1]
    distance: Float32Array = ((x[None, :] ** 2.5 + y[:, None] ** 2.5) ** (1 / 2.5)).astype(
        np.float32
    )
    return distance


@cache
def face_mask(size: int) -> Float32Array:
    """Feathered mask of the whole face.

    Args:
        size: side of the square crop in pixels.

    Returns:
        (S, S) float32 in [0, 1], read-only.
    """
    ramp = np.clip((1.0 + _EDGE / 2 - _radius(size)) / _EDGE, 0.0, 1.0)
    mask: Float32Array = (ramp * ramp * (3 - 2 * ramp)).astype(np.float32)
    mask.setflags(write=False)
    return mask


@cache
def core_mask(size: int) -> Float32Array:
    """Binary mask of eyes, nose and mouth: what must not stay as it was.

    Args:
        size: side of the square crop in pixels.

    Returns:
        (S, S) float32, 0 or 1, read-only.
    """
    mask: Float32Array = (_radius(size) <= CORE_MASK_RATIO).astype(np.float32)
    mask.setflags(write=False)
    return mask


def blended(crops: UInt8Array, faces: UInt8Array, masks: Float32Array) -> UInt8Array:
    """Crops with new faces in them.

    Args:
        crops: (N, S, S, 3) uint8 RGB.
        faces: (N, S, S, 3) uint8 RGB.
        masks: (N, S, S) float32 in [0, 1], share of the new face.

    Returns:
        (N, S, S, 3) uint8 RGB.
    """
    weight = masks[..., None]
    return np.rint(crops + weight * (faces.astype(np.float32) - crops)).astype(np.uint8)
