"""A net that says how much a face looks as if it belonged to its head."""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["LooksNet", "looks_loss", "scores_of"]

_WIDTHS: Final = (32, 64, 112, 192)
_SLOPE: Final = 0.1
_ABSOLUTE: Final = 0.1
_CHUNK: Final = 128


class _Block(nn.Module):
    """A residual block that halves the side."""

    def __init__(self, channels_in: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels, 3, 2, 1, bias=False)
        self.norm_first = nn.BatchNorm2d(channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm_second = nn.BatchNorm2d(channels)
        self.shortcut = nn.Conv2d(channels_in, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = F.leaky_relu(self.norm_first(self.first(x)), _SLOPE)
        y = self.norm_second(self.second(y)) + self.shortcut(F.avg_pool2d(x, 2))
        return F.leaky_relu(y, _SLOPE)


class LooksNet(nn.Module):
    """Crops to scores; only those of one crop with different faces can be compared."""

    def __init__(self) -> None:
        super().__init__()
        channels = (3, *_WIDTHS)
        self.blocks = nn.Sequential(
            *(_Block(channels[i], channels[i + 1]) for i in range(len(_WIDTHS)))
        )
        self.dropout = nn.Dropout(0.3)
        self.score = nn.Linear(_WIDTHS[-1], 1)

    def forward(self, crops: Tensor) -> Tensor:
        """(N, 3, 80, 80) RGB in [-1, 1], aligned crops at half size, to (N,)."""
        features = self.blocks(crops).mean((2, 3))
        return torch.squeeze(self.score(self.dropout(features)), 1)


def looks_loss(scores: Tensor) -> tuple[Tensor, Tensor]:
    """How badly the faces that belong to their heads are told from those that do not.

    Args:
        scores: (N, V), of each crop with its own face first and then with V - 1 others.

    Returns:
        The loss, and the share of pairs in the right order.
    """
    own, other = scores[:, :1], scores[:, 1:]
    ahead = own - other
    # Scores of different crops are not compared later; this only keeps them near zero.
    absolute = F.softplus(-own).mean() + F.softplus(other).mean()
    return F.softplus(-ahead).mean() + _ABSOLUTE * absolute, (ahead > 0).float().mean()


@torch.no_grad()
def scores_of(net: LooksNet, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
    """What a net in evaluation mode says of (N, 80, 80, 3) uint8 RGB crops, (N,) float32."""
    x = torch.from_numpy(np.array(crops)).permute(0, 3, 1, 2)
    return np.concatenate([net(part.float() / 127.5 - 1.0).numpy() for part in x.split(_CHUNK)])
