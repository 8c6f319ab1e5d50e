"""Composite faces: extra points of the identity space for the teacher to label.

A few ten thousand photographs cover little of a 512-D space. Aligned faces can be averaged, mixed
by parts and stretched; the teacher's embedding of the result is as good a target as any, and such
composites belong to nobody else in the set.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["BLEND_SIZE_PX", "blend_faces"]

BLEND_SIZE_PX: Final = 128
_MARGIN_PX: Final = 16  # of the 160 px canvas on each side


def blend_faces(crops: NDArray[np.uint8], count: int, *, seed: int) -> NDArray[np.uint8]:
    """Make composites of aligned faces.

    Args:
        crops: (N, 160, 160, 3) uint8 RGB aligned crops.
        count: How many composites to make.
        seed: Equal seeds give equal composites.

    Returns:
        (count, 128, 128, 3) uint8 RGB; the centre 112x112 is the recogniser's crop.
    """
    out = np.empty((count, BLEND_SIZE_PX, BLEND_SIZE_PX, 3), np.uint8)
    for i in range(count):
        rng = np.random.default_rng([seed, i])
        first, second = (_stretched(crops[k], rng) for k in rng.integers(len(crops), size=2))
        kind = rng.random()
        if kind < 0.15:
            mixed = first
        elif kind < 0.25:
            mixed = _symmetric(first)
        else:
            weight = np.float32(rng.uniform(0.3, 0.7)) if kind < 0.5 else _part_mask(rng)
            mixed = first * weight + second * (1 - weight)
        out[i] = np.clip(np.rint(mixed), 0, 255)
    return out


def _stretched(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.float32]:
    """The crop's centre, each axis stretched and bent a little: another shape of face."""
    n = BLEND_SIZE_PX
    rows, cols = np.mgrid[:n, :n].astype(np.float32)
    u, v = (cols - n / 2) / n, (rows - n / 2) / n
    a = rng.uniform(-1, 1, 6).astype(np.float32)
    x = u * (1 + 0.08 * a[0] + 0.25 * a[1] * v) + 0.05 * a[2] * np.sin(2 * np.pi * u)
    y = v * (1 + 0.08 * a[3] + 0.12 * a[4] * u) + 0.05 * a[5] * np.sin(2 * np.pi * v)
    if rng.random() < 0.5:
        x = -x
    half = np.float32(n / 2 + _MARGIN_PX)
    warped = cv2.remap(
        crop, x * n + half, y * n + half, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return warped.astype(np.float32)


def _symmetric(face: NDArray[np.float32]) -> NDArray[np.float32]:
    """The face's left half and its mirror image, with a soft seam."""
    ramp = 1 / (1 + np.exp(np.linspace(-12, 12, face.shape[1], dtype=np.float32)))
    weight = ramp[None, :, None]
    return np.asarray(face * weight + face[:, ::-1] * (1 - weight), np.float32)


def _part_mask(rng: np.random.Generator) -> NDArray[np.float32]:
    """A smooth random mask (128, 128, 1) in [0, 1]: parts of one face, the rest of another."""
    noise = rng.normal(size=(5, 5)).astype(np.float32)
    smooth = cv2.resize(noise, (BLEND_SIZE_PX, BLEND_SIZE_PX), interpolation=cv2.INTER_CUBIC)
    return np.asarray(1 / (1 + np.exp(-4 * smooth)), np.float32)[..., None]
