"""A small differentiable 66-point landmark net: the geometry that the generator is told.

Distilled from the 66-point teacher on aligned crops. It runs inside the generator's graph, so that
expression and pose reach the new face as points and not as pixels of the old one.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["Landmarks66"]

_POINTS = 66
_CELLS = 40


def _conv(channels_in: int, channels_out: int, stride: int, *, folded: bool) -> nn.Sequential:
    conv = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=folded)
    norm = nn.Identity() if folded else nn.BatchNorm2d(channels_out)
    return nn.Sequential(conv, norm, nn.ReLU())


class Landmarks66(nn.Module):
    """Aligned crop to 66 points by soft-argmax over heat maps of 40x40 cells.

    Args:
        folded: Without batch norms, as ``fold`` makes it from a trained one.
    """

    grid: Tensor

    def __init__(self, *, folded: bool = False) -> None:
        super().__init__()
        self.at_40 = _conv(48, 32, 1, folded=folded)
        self.at_20 = nn.Sequential(_conv(32, 48, 2, folded=folded), _conv(48, 48, 1, folded=folded))
        self.at_10 = nn.Sequential(
            _conv(48, 64, 2, folded=folded),
            _conv(64, 64, 1, folded=folded),
            _conv(64, 64, 1, folded=folded),
        )
        self.to_20 = nn.Conv2d(64, 48, 1)
        self.mix_20 = _conv(48, 48, 1, folded=folded)
        self.to_40 = nn.Conv2d(48, 32, 1)
        self.mix_40 = _conv(32, 48, 1, folded=folded)
        self.maps = nn.Conv2d(48, _POINTS, 1)
        axis = (torch.arange(_CELLS, dtype=torch.float32) + 0.5) * (160 / _CELLS) - 0.5
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        self.register_buffer("grid", torch.stack([x.flatten(), y.flatten()], 1), persistent=False)

    def forward(self, crops: Tensor) -> Tensor:
        """(N, 3, 160, 160) RGB in [-1, 1] to (N, 66, 2) x, y in pixels."""
        fine = self.at_40(F.pixel_unshuffle(crops, 4))
        middle = self.at_20(fine)
        coarse = F.interpolate(self.to_20(self.at_10(middle)), scale_factor=2.0)
        middle = self.mix_20(middle + coarse)
        fine = self.mix_40(fine + F.interpolate(self.to_40(middle), scale_factor=2.0))
        logits = self.maps(fine).float().flatten(2)
        return torch.softmax(logits, 2) @ self.grid

    @torch.no_grad()
    def fold(self) -> Landmarks66:
        """A copy for use only: every batch norm is part of the convolution before it."""
        twin = Landmarks66(folded=True).eval().requires_grad_(False)
        ours, theirs = dict(self.named_modules()), dict(twin.named_modules())
        for name, module in theirs.items():
            if isinstance(module, nn.Conv2d):
                source = ours[name]
                parent = ours[name.rpartition(".")[0]]
                if isinstance(parent, nn.Sequential) and isinstance(parent[1], nn.BatchNorm2d):
                    source = fuse_conv_bn_eval(parent[0].eval(), parent[1].eval())
                module.load_state_dict(source.state_dict())
        return twin
