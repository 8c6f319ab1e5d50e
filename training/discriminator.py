"""A patch discriminator that tells synthetic faces from photographs."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["Discriminator", "FeatureCritic", "discriminator_loss", "generator_loss"]

_SLOPE = 0.2
_FINE_GAIN = 3.0
_EDGE_GAIN = 4.0


class Discriminator(nn.Module):
    """One strided network that judges at three scales: patches of about 20, 44 and 92 pixels.

    It sees the finest band of the picture beside the picture, because blur and the stripes that
    fool recognisers are there. Without spectral normalisation: with it, a network of this size
    learnt nothing for 400 steps and then overran the generator (docs/decisions/0005).
    """

    def __init__(self, *, width: int = 48) -> None:
        super().__init__()
        widths = (24, width, 2 * width, 4 * width, 4 * width)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in itertools.pairwise(widths))
        self.heads = nn.ModuleList(nn.Conv2d(c, 1, 1) for c in widths[2:])
        for conv in self.convs:
            nn.init.kaiming_normal_(conv.weight, a=_SLOPE)
        for head in self.heads:
            nn.init.normal_(head.weight, std=0.02)

    def forward(self, crops: Tensor) -> list[Tensor]:
        """(N, 3, S, S) in [-1, 1] to maps of scores; S a multiple of 32."""
        coarse = F.interpolate(F.avg_pool2d(crops, 2), scale_factor=2.0, mode="bilinear")
        x = F.pixel_unshuffle(torch.cat([crops, _FINE_GAIN * (crops - coarse)], 1), 2)
        x = F.leaky_relu(self.convs[0](x), _SLOPE)
        scores = []
        for conv, head in zip(list(self.convs)[1:], self.heads, strict=True):
            x = F.leaky_relu(conv(x), _SLOPE)
            scores.append(head(x))
        return scores


class FeatureCritic(nn.Module):
    """Small heads that judge the feature maps of a frozen network.

    Args:
        channels: Channels of each map.
        width: Channels inside a head.
    """

    def __init__(self, channels: Sequence[int], *, width: int = 64) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(c, width, 1),
                nn.LeakyReLU(_SLOPE),
                nn.Conv2d(width, width, 3, 2, 1),
                nn.LeakyReLU(_SLOPE),
                nn.Conv2d(width, 1, 1),
            )
            for c in channels
        )

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """One map of scores for each feature map."""
        return [head(x) for head, x in zip(self.heads, maps, strict=True)]


def discriminator_loss(
    real: list[Tensor], fake: list[Tensor], real_area: Tensor, fake_area: Tensor
) -> Tensor:
    """Least squares loss of the discriminator (0.5: it cannot tell), averaged over the scales.

    Args:
        real: Scores (N, 1, h, w) of photographs, one map a scale.
        fake: The same of synthetic faces.
        real_area: (N, 1, H, W) in [0, 1], where a face would be painted. Around it both are
            photographs, about which there is nothing to learn.
        fake_area: The same of the synthetic faces.
    """
    terms = [
        _mean((r.float() - 1.0).square(), real_area) + _mean(f.float().square(), fake_area)
        for r, f in zip(real, fake, strict=True)
    ]
    return torch.stack(terms).mean()


def generator_loss(fake: list[Tensor], area: Tensor) -> Tensor:
    """Least squares loss of the generator, averaged over the scales; its gradient is bounded."""
    return torch.stack([_mean((f.float() - 1.0).square(), area) for f in fake]).mean()


def _mean(values: Tensor, area: Tensor) -> Tensor:
    """The mean over cells that show a part of the area; those at its edge count in full."""
    share = F.adaptive_avg_pool2d(area.float(), [values.shape[2], values.shape[3]])
    share = (_EDGE_GAIN * share).clamp(max=1.0)
    return (values * share).sum() / share.sum().clamp_min(1.0)
