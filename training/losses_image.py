"""Picture losses: reconstruction, colour and light, and what a video codec does to a face."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "colour_loss",
    "composite",
    "degrade",
    "laplacian_loss",
    "reconstruction_loss",
    "spot_loss",
]

_SPOT_PX: Final = 13
_FACE: Final = (slice(None), slice(None), slice(28, 156), slice(22, 138))


def composite(face: Tensor, alpha: Tensor, crop: Tensor) -> Tensor:
    """The crop as it goes back into the frame."""
    return crop + alpha * (face - crop)


def reconstruction_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """(N,) absolute error of the face window at three scales, and of its finest band."""
    a, b = found[_FACE], wanted[_FACE]
    error = 1.3 * (a - b).abs().mean((1, 2, 3)) + 0.7 * laplacian_loss(a, b)
    for cells_px in (2, 4):
        difference = F.avg_pool2d(a - b, cells_px)
        error = error + 0.5 * difference.abs().mean((1, 2, 3))
    return error


def laplacian_loss(found: Tensor, wanted: Tensor) -> Tensor:
    """(N,) mean absolute error of the finest band."""
    difference = found - wanted
    smooth = F.interpolate(
        F.avg_pool2d(difference, 2), scale_factor=2.0, mode="bilinear", align_corners=False
    )
    return (difference - smooth).abs().mean((1, 2, 3))


def colour_loss(
    found: Tensor, wanted: Tensor, *, cells_px: int = 8, tolerance: float = 0.05
) -> Tensor:
    """(N,) error of the colours averaged over cells: skin tone and light, not features.

    Errors within the tolerance cost nothing. Without it the constant gradient of the absolute error
    outweighs the identity losses near a copy of the input, and the generator never leaves it.
    """
    difference = F.avg_pool2d((found - wanted)[_FACE], cells_px, ceil_mode=True)
    return F.relu(difference.abs() - tolerance).mean((1, 2, 3))


def spot_loss(found: Tensor, *, tolerance: float = 0.04) -> Tensor:
    """(N,) how much greener than what lies around them single pixels of the face window are.

    Recognisers do not mind small green spots, and a generator that is held to them paints some. Of
    photographs one pixel in twenty is above the tolerance.
    """
    red, green, blue = found[_FACE].split(1, 1)
    tint = green - 0.5 * (red + blue)
    border = _SPOT_PX // 2
    padded = F.pad(tint, (border, border, border, border), mode="reflect")
    return F.relu(tint - F.avg_pool2d(padded, _SPOT_PX, 1) - tolerance).mean((1, 2, 3))


def degrade(crops: Tensor, generator: torch.Generator) -> Tensor:
    """What resampling, chroma subsampling and quantisation leave, differentiably.

    Each picture gets a blend of a blurred and the sharp version, chroma at half resolution, and
    uniform noise of the size of a codec's rounding error.

    Args:
        crops: (N, 3, S, S) in [-1, 1].
        generator: Source of the strengths.
    """
    n = len(crops)
    blurred = F.interpolate(F.avg_pool2d(crops, 2), scale_factor=2.0, mode="bilinear")
    strength = torch.rand((n, 1, 1, 1), generator=generator)
    out = crops + 0.7 * strength * (blurred - crops)
    luma = (out * _luma(out)).sum(1, keepdim=True)
    chroma = F.interpolate(F.avg_pool2d(out - luma, 2), scale_factor=2.0, mode="bilinear")
    out = luma + chroma
    noise = torch.rand(out.shape, generator=generator) - 0.5
    level = torch.rand((n, 1, 1, 1), generator=generator) * 0.12
    return (out + level * noise).clamp(-1.0, 1.0)


def _luma(like: Tensor) -> Tensor:
    return torch.tensor([0.299, 0.587, 0.114], dtype=like.dtype).view(1, 3, 1, 1)
