"""Augmentation of recogniser crops: what video does to a face, with the identity kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["augment", "change_light_and_detail"]

_TEMPLATE_PX: Final = 112
_Rgb = NDArray[np.uint8]


def augment(face: _Rgb, rng: np.random.Generator, *, size_px: int, flip: bool) -> _Rgb:
    """A randomly disturbed recogniser crop.

    Args:
        face: (128, 128, 3) uint8 RGB, the recogniser's crop with 8 pixels of margin.
        rng: Source of every decision.
        size_px: Side of the result; the crop's 112 pixels are scaled to it.
        flip: Mirror left and right.

    Returns:
        (size_px, size_px, 3) uint8 RGB.
    """
    return change_light_and_detail(_moved(face, rng, size_px=size_px, flip=flip), rng)


def change_light_and_detail(face: _Rgb, rng: np.random.Generator) -> _Rgb:
    """A face of any size, perhaps darker, softer, coarser, compressed or partly covered."""
    out = face
    for probability, change in _CHANGES:
        if rng.random() < probability:
            out = change(out, rng)
    return out


def _moved(face: _Rgb, rng: np.random.Generator, *, size_px: int, flip: bool) -> _Rgb:
    """Shift by about 1.5 px, scale by 4 %, turn by 3 degrees (standard deviations, crop pixels)."""
    shift, scale, angle = rng.normal(size=2) * 1.5, np.exp(rng.normal() * 0.04), rng.normal() * 0.05
    if rng.random() < 0.3:
        shift, scale, angle = np.zeros(2), 1.0, 0.0
    zoom = size_px / _TEMPLATE_PX
    c, s = np.cos(angle) * scale * zoom, np.sin(angle) * scale * zoom
    sign = -1.0 if flip else 1.0
    linear = np.array([[sign * c, -s], [sign * s, c]])
    from_centre = np.array([(face.shape[1] - 1) / 2, (face.shape[0] - 1) / 2])
    to_centre = np.full(2, (size_px - 1) / 2) + shift * zoom
    matrix = np.hstack([linear, (to_centre - linear @ from_centre)[:, None]])
    return np.asarray(
        cv2.warpAffine(
            face,
            matrix,
            (size_px, size_px),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        ),
        np.uint8,
    )


def _curve(out: _Rgb, rng: np.random.Generator) -> _Rgb:
    """Contrast, brightness, gamma and a colour cast by one table for each channel."""
    x = np.linspace(0, 1, 256)
    gamma, gain, offset = (
        np.exp(rng.normal() * 0.25),
        np.exp(rng.normal() * 0.2),
        rng.normal() * 0.06,
    )
    cast = np.exp(rng.normal(size=3) * 0.05)
    table = (np.clip((x**gamma - 0.5) * gain + 0.5 + offset, 0, 1)[:, None] * cast).clip(0, 1)
    return np.asarray(cv2.LUT(out, (table * 255).astype(np.uint8)[None]), np.uint8)


def _dark(out: _Rgb, rng: np.random.Generator) -> _Rgb:
    """Little light, and the noise that comes with it."""
    dim = out * rng.uniform(0.12, 0.5) + rng.normal(size=out.shape) * rng.uniform(0.5, 5)
    return np.clip(dim, 0, 255).astype(np.uint8)


def _blurred(out: _Rgb, rng: np.random.Generator) -> _Rgb:
    return np.asarray(cv2.GaussianBlur(out, (0, 0), rng.uniform(0.4, 1.8)), np.uint8)


def _coarse(out: _Rgb, rng: np.random.Generator) -> _Rgb:
    """A face that was small in its frame: 28 to 80 pixels, scaled up."""
    n = int(rng.integers(28, 80))
    small = cv2.resize(out, (n, n), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, out.shape[1::-1], interpolation=cv2.INTER_LINEAR), np.uint8)


def _compressed(out: _Rgb, rng: np.random.Generator) -> _Rgb:
    quality = int(rng.integers(15, 85))
    _, data = cv2.imencode(".jpg", out, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)


def _grey(out: _Rgb, rng: np.random.Generator) -> _Rgb:
    return np.repeat(cv2.cvtColor(out, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=2)


def _occluded(out: _Rgb, rng: np.random.Generator) -> _Rgb:
    """A box of one colour over a part, or a mask from the nose down."""
    n = out.shape[0]
    covered = out.copy()
    colour = rng.integers(0, 256, 3)
    if rng.random() < 0.3:
        top = int(n * rng.uniform(0.62, 0.72))
        covered[top:, int(n * 0.12) : int(n * 0.88)] = colour
        return covered
    h, w = (int(v) for v in n * rng.uniform(0.12, 0.4, 2))
    y, x = int(rng.integers(0, n - h)), int(rng.integers(0, n - w))
    covered[y : y + h, x : x + w] = colour
    return covered


_CHANGES: Final[tuple[tuple[float, Callable[[_Rgb, np.random.Generator], _Rgb]], ...]] = (
    (0.10, _occluded),
    (0.45, _curve),
    (0.06, _dark),
    (0.15, _blurred),
    (0.15, _coarse),
    (0.03, _grey),
    (0.30, _compressed),
)
