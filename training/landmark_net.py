"""The landmark network: five points of a face as the means of heat maps, refined by offsets."""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.landmarks import CROP_PX

__all__ = ["LandmarkNet", "export_landmarks"]

_POINTS = 5
_CELLS = 16


def _conv(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    conv = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
    return [conv, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


class LandmarkNet(nn.Module):
    """Maps ``(N, 1, 64, 64)`` in [-1, 1] to ``(N, 10)`` offsets from the middle, in half sides.

    Each point is the expectation, over 16x16 cells, of the cell's place and its own offset: a face
    that moves moves its map, which linear layers over all cells would have to learn place by place.
    """

    grid: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.at_16 = nn.Sequential(*_conv(1, 16, 2), *_conv(16, 24, 2), *_conv(24, 24, 1))
        self.at_8 = nn.Sequential(*_conv(24, 48, 2), *_conv(48, 48, 1))
        self.at_4 = nn.Sequential(*_conv(48, 64, 2), *_conv(64, 64, 1))
        self.deep_4 = nn.Sequential(*_conv(64, 64, 1), *_conv(64, 64, 1))
        self.up_8 = nn.Conv2d(64, 48, 1)
        self.mix_8 = nn.Sequential(*_conv(48, 48, 1), *_conv(48, 48, 1))
        self.up_16 = nn.Conv2d(48, 48, 1)
        self.side_16 = nn.Conv2d(24, 48, 1)
        self.mix_16 = nn.Sequential(*_conv(48, 48, 1), *_conv(48, 48, 1))
        self.maps = nn.Conv2d(48, 3 * _POINTS, 1)
        axis = ((torch.arange(_CELLS) + 0.5) * (CROP_PX / _CELLS) - 0.5) * (2 / CROP_PX) - 1
        y, x = torch.meshgrid(axis, axis, indexing="ij")
        self.register_buffer("grid", torch.stack([x.flatten(), y.flatten()]), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Compute the points."""
        at_16 = self.at_16(x)
        at_8 = self.at_8(at_16)
        at_4 = self.at_4(at_8)
        coarse = F.interpolate(self.up_8(at_4 + self.deep_4(at_4)), scale_factor=2.0)
        mixed = self.mix_8(at_8 + coarse)
        fine = F.interpolate(self.up_16(mixed), scale_factor=2.0) + self.side_16(at_16)
        maps = self.maps(self.mix_16(fine)).float().flatten(2)
        share = torch.softmax(maps[:, :_POINTS], 2).unsqueeze(2)
        places = maps[:, _POINTS:].reshape(-1, _POINTS, 2, _CELLS * _CELLS) * 0.1 + self.grid
        return (places * share).sum(3).flatten(1)


def export_landmarks(net: nn.Module, path: Path) -> None:
    """Write ``net`` as ONNX opset 17 with a free batch size."""
    torch.onnx.export(
        net.eval(),
        (torch.zeros(1, 1, CROP_PX, CROP_PX),),
        str(path),
        input_names=["input"],
        output_names=["points"],
        dynamic_axes={"input": {0: "N"}, "points": {0: "N"}},
        opset_version=17,
        dynamo=False,  # the new exporter needs onnxscript and keeps batch norms apart
    )
    onnx.checker.check_model(str(path))
