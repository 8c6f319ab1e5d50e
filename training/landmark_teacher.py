"""The teacher of the 66 landmarks as a network that gradients flow through.

The landmark net in the generator is its student, and a generator that is held to the student's
points alone learns the student's errors, too (docs/decisions/0081).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.generator_landmarks import TEACHER_PX, WINDOW_XYXY_PX
from training.onnx_graph import OnnxGraph

__all__ = ["LandmarkTeacher"]

_POINTS: Final = 66
_CELLS: Final = 28
# A cell's weight is its confidence to this power: near enough to the best cell, and smooth.
_SHARPNESS: Final = 4.0
# Beyond, an offset is more than three cells, which only cells far from the point say.
_LEAST_OFFSET: Final = 0.02
_FILE: Final = "landmarks66_openseeface.onnx"


class LandmarkTeacher(nn.Module):
    """OpenSeeFace's landmarks, frozen.

    Args:
        folder: of the teacher models.
    """

    cells: Tensor

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self.network = OnnxGraph(folder / _FILE)
        axis = torch.arange(_CELLS, dtype=torch.float32) * ((TEACHER_PX - 1) / (_CELLS - 1))
        down, across = torch.meshgrid(axis, axis, indexing="ij")
        self.register_buffer("cells", torch.stack([across.flatten(), down.flatten()]))
        self.eval()

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Landmarks of aligned crops.

        Args:
            crops: (N, 3, 160, 160) RGB in [-1, 1].

        Returns:
            Points (N, 66, 2), x y in pixels of the crop, and confidences (N, 66) in [0, 1].
        """
        x1, y1, x2, y2 = WINDOW_XYXY_PX
        face = F.interpolate(crops[:, :, y1:y2, x1:x2], (TEACHER_PX, TEACHER_PX), mode="bilinear")
        maps = self.network(face.contiguous(memory_format=torch.channels_last)).float()
        confidence, down, across = maps.view(-1, 3, _POINTS, _CELLS * _CELLS).unbind(1)
        share = confidence.clamp_min(0.0).pow(_SHARPNESS) + 1e-9
        share = share / share.sum(2, keepdim=True)
        found = [
            (share * (self.cells[axis] + _offset(offset))).sum(2)
            for axis, offset in ((0, across), (1, down))
        ]
        scale = crops.new_tensor([x2 - x1, y2 - y1]).float() / TEACHER_PX
        start = crops.new_tensor([x1, y1]).float()
        return torch.stack(found, 2) * scale + start, confidence.amax(2).clamp(0.0, 1.0)


def _offset(logistic: Tensor) -> Tensor:
    inside = logistic.clamp(_LEAST_OFFSET, 1.0 - _LEAST_OFFSET)
    return torch.logit(inside) * ((TEACHER_PX - 1) / 16)
