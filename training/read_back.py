"""R, the reader of wanted identities: which one a new face was made for, out of the video."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.losses_identity import cosine, recogniser_window
from training.losses_image import degrade
from training.rebuild import rebuild_encoder

__all__ = ["ReadBack", "read_back_loss", "seen_again"]

# How far the crop that recovery cuts lies beside the one that the face was drawn on.
_TURN_RAD, _SCALE, _SHIFT = math.radians(2.0), 0.02, 0.02
_SMALLEST = 0.5  # of the crop's size: faces in footage have fewer pixels than the crop


class ReadBack(nn.Module):
    """A network of E_id's shape that starts as E_id and learns from new faces.

    Unlike E_id it sees no mirror image: what it reads need not be the same on both sides.

    Args:
        network: (N, 3, S, S) in [-1, 1] to raw embeddings; its batch norms stay folded.
        inner_px: the S it takes.
    """

    def __init__(self, network: nn.Module, *, inner_px: int) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(True)
        self.inner_px = inner_px

    @classmethod
    def of_encoder(cls, path: Path) -> ReadBack:
        """Start from an exported encoder or reader, its manifest beside it."""
        network, inner_px = rebuild_encoder(path)
        return cls(network, inner_px=inner_px)

    def train(self, mode: bool = True) -> ReadBack:
        """Stay in evaluation mode: there are no statistics to learn."""
        return super().train(False)

    def forward(self, crops: Tensor) -> Tensor:
        """Unit embeddings (N, 512) of crops (N, 3, 160, 160) in [-1, 1]."""
        size = (self.inner_px, self.inner_px)
        small = F.interpolate(
            recogniser_window(crops), size=size, mode="bilinear", align_corners=False
        )
        small = small.contiguous(memory_format=torch.channels_last)
        return F.normalize(self.network(small).float(), dim=1)


def read_back_loss(
    reader: nn.Module, output: Tensor, wanted: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """How far the wanted identities are missed in faces that went through a video.

    Args:
        reader: `ReadBack`.
        output: (N, 3, 160, 160) new faces in [-1, 1].
        wanted: (N, 512) unit vectors.
        generator: source of what the video does to them.

    Returns:
        The loss, and the mean cosine in the faces.
    """
    near = cosine(reader(seen_again(output, generator)), wanted)
    return (1.0 - near).mean(), near.mean()


def seen_again(crops: Tensor, generator: torch.Generator) -> Tensor:
    """Cut anew, a little beside, out of a smaller picture, after a codec."""
    count, side_px = len(crops), crops.shape[-1]
    draws = 2.0 * torch.rand((4, count), generator=generator) - 1.0
    scale, turn = 1.0 + _SCALE * draws[0], _TURN_RAD * draws[1]
    cos, sin = scale * torch.cos(turn), scale * torch.sin(turn)
    rows = torch.stack([cos, -sin, _SHIFT * draws[2], sin, cos, _SHIFT * draws[3]], 1)
    grid = F.affine_grid(rows.view(count, 2, 3), list(crops.shape), align_corners=False)
    moved = F.grid_sample(crops, grid, padding_mode="border", align_corners=False)
    part = _SMALLEST + (1.0 - _SMALLEST) * float(torch.rand((), generator=generator))
    if torch.rand((), generator=generator) < 0.75:
        few_px = 4 * round(part * side_px / 4)
        size = (few_px, few_px)
        moved = F.interpolate(moved, size=size, mode="bilinear", antialias=True)
        moved = degrade(moved, generator)
        moved = F.interpolate(moved, size=(side_px, side_px), mode="bilinear")
    return moved
