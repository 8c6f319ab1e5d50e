"""The attribute encoder E_attr: a U-Net whose decoder gives the attribute maps."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["SLOPE", "AttributeEncoder", "act"]

SLOPE: Final = 0.1


def act(x: Tensor) -> Tensor:
    """The activation of E_attr and G."""
    return F.leaky_relu(x, SLOPE)


class _ResBlock(nn.Module):
    """Two 3x3 convolutions with a residual connection, no normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(act(self.first(x)))


class AttributeEncoder(nn.Module):
    """What may be known of a crop to attribute maps, coarse to fine.

    Args:
        widths: Channels at 80, 40, 20, 10 and 5 cells.
        attributes: Channels of the attribute maps at 5, 10, 20, 40 and 80 cells.
        geometry_maps: Maps that landmarks are drawn on.
    """

    def __init__(
        self, widths: Sequence[int], attributes: Sequence[int], *, geometry_maps: int
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(12 + geometry_maps, widths[0], 3, 1, 1)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in itertools.pairwise(widths))
        self.blocks = nn.ModuleList(_ResBlock(c) for c in widths[1:])
        coarse_to_fine = tuple(widths)[::-1]
        self.heads = nn.ModuleList(
            nn.Conv2d(c + (attributes[i - 1] if i else 0), attributes[i], 1)
            for i, c in enumerate(coarse_to_fine)
        )

    def forward(self, crop: Tensor, geometry: Tensor) -> list[Tensor]:
        """(N, 3, S, S) in [-1, 1] and (N, M, S/2, S/2) to maps of S/32 ... S/2 cells."""
        x = act(self.stem(torch.cat([F.pixel_unshuffle(crop, 2), geometry], 1)))
        levels = [x]
        for down, block in zip(self.downs, self.blocks, strict=True):
            x = block(act(down(x)))
            levels.append(x)
        maps: list[Tensor] = []
        for head, level in zip(self.heads, reversed(levels), strict=True):
            if maps:
                level = torch.cat([level, F.interpolate(maps[-1], scale_factor=2.0)], 1)
            maps.append(act(head(level)))
        return maps
