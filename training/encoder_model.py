"""The identity encoder network: a compact dense-convolution residual net.

Dense 3x3 convolutions with BatchNorm and ReLU only: on the CPUs we train on they run about three
times as many multiply-adds a second as depthwise ones in bfloat16, and ONNX Runtime fuses
convolution, folded BatchNorm and ReLU into one kernel.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["EMBEDDING_DIM", "ENCODER_SIZE_PX", "DeployedEncoder", "Encoder"]

EMBEDDING_DIM = 512
ENCODER_SIZE_PX = 112
_FINAL_CELLS = 7


def _conv_bn(
    channels_in: int, channels_out: int, kernel: int, stride: int, *, padding: int | None = None
) -> nn.Sequential:
    around = kernel // 2 if padding is None else padding
    conv = nn.Conv2d(channels_in, channels_out, kernel, stride, around, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(channels_out))


class _Block(nn.Module):
    """Two 3x3 convolutions with a residual connection."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _conv_bn(channels, channels, 3, 1)
        self.second = _conv_bn(channels, channels, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.second(F.relu(self.first(x))))


class Encoder(nn.Module):
    """Aligned crop to raw embedding.

    Args:
        widths: Channels at 1/4, 1/8 and 1/16 of the input size.
        depths: Residual blocks at 1/8 and 1/16 of the input size.
    """

    def __init__(
        self,
        *,
        widths: tuple[int, int, int] = (64, 128, 256),
        depths: tuple[int, int] = (1, 2),
    ) -> None:
        super().__init__()
        # Straight to a quarter of the size: half-size maps cost a third of the time of a step.
        self.stem = _conv_bn(3, widths[0], 8, 4, padding=2)
        self.downs = nn.ModuleList(_conv_bn(widths[i], widths[i + 1], 3, 2) for i in range(2))
        self.stages = nn.ModuleList(
            nn.Sequential(*(_Block(widths[i + 1]) for _ in range(depths[i]))) for i in range(2)
        )
        self.expand = _conv_bn(widths[2], EMBEDDING_DIM, 1, 1)
        # One weight for each cell and channel: an aligned face has its eyes in fixed cells.
        self.cells = nn.Parameter(
            torch.full((1, EMBEDDING_DIM, _FINAL_CELLS, _FINAL_CELLS), 1 / _FINAL_CELLS**2)
        )
        self.pooled = nn.BatchNorm1d(EMBEDDING_DIM)
        self.project = nn.Linear(EMBEDDING_DIM, EMBEDDING_DIM)

    def maps(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Feature maps that hints are given for.

        Args:
            x: (N, 3, S, S) float32 in [-1, 1], S a multiple of 16.

        Returns:
            Maps at 1/8, at 1/16 after the first block, and at 1/16 after the last layer.
        """
        eighth, first = self._early_maps(x)
        return eighth, first, F.relu(self.expand(self.stages[1][1:](first)))

    def last_maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The last map of the blocks and the last of ``maps``, both at 1/16 of the size."""
        blocks = self.stages[1][1:](self._early_maps(x)[1])
        return blocks, F.relu(self.expand(blocks))

    def _early_maps(self, x: Tensor) -> tuple[Tensor, Tensor]:
        eighth = self.stages[0](F.relu(self.downs[0](F.relu(self.stem(x)))))
        return eighth, self.stages[1][0](F.relu(self.downs[1](eighth)))

    def cells_for(self, side: int) -> Tensor:
        """The weights of the cells, resampled to a grid of ``side`` by ``side``."""
        have = self.cells.shape[-1]
        if side == have:
            return self.cells
        size = (side, side)
        resampled = F.interpolate(self.cells, size=size, mode="bilinear", align_corners=False)
        return resampled * (have / side) ** 2

    def fix_size(self, size_px: int) -> None:
        """Keep the cells' weights for one input size only, so that nothing resamples them."""
        self.cells = nn.Parameter(self.cells_for(size_px // 16).detach())

    def pool(self, x: Tensor) -> Tensor:
        """Pooled features (N, 512) of the last of ``maps``."""
        pooled: Tensor = self.pooled((x.float() * self.cells_for(x.shape[-1])).sum((2, 3)))
        return pooled

    def forward(self, x: Tensor) -> Tensor:
        """Raw embedding (N, 512), not normalised, of ``x`` (N, 3, S, S) float32 in [-1, 1]."""
        embedding: Tensor = self.project(self.pool(self.maps(x)[2]))
        return embedding


class DeployedEncoder(nn.Module):
    """An encoder as the exported file has it: 112 px input, L2-normalised output.

    The crop and its mirror image go through as one batch, and the mean of the two embeddings is
    a little nearer to the teacher than one of them.

    Args:
        encoder: Network from (N, 3, S, S) to (N, 512).
        inner_px: The S it was trained for; the crop is scaled to it.
        sees_mirrored: False for the reader of wanted identities, which takes the crop alone.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        inner_px: int,
        sees_mirrored: bool = True,
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.inner_px = inner_px
        self.sees_mirrored = sees_mirrored

    def forward(self, x: Tensor) -> Tensor:
        """Unit embedding (N, 512) of ``x`` (N, 3, 112, 112) float32 in [-1, 1]."""
        size = (self.inner_px, self.inner_px)
        small = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
        if not self.sees_mirrored:
            return _unit(self.encoder(small))
        both = _unit(self.encoder(torch.cat([small, small.flip(3)])))
        return _unit(both.reshape(2, -1, EMBEDDING_DIM).sum(0))


def _unit(x: Tensor) -> Tensor:
    return x / x.square().sum(1, keepdim=True).clamp_min(1e-12).sqrt()
