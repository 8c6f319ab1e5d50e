"""The teacher of the 66 landmarks as a network that gradients flow through.

The landmark net in the generator is its student, and a generator that is held to the student's
points alone learns the student's errors, too (docs/decisions/0081).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

from training.generator_landmarks import TEACHER_PX, WINDOW_XYXY_PX

__all__ = ["LandmarkTeacher"]

_POINTS: Final = 66
_CELLS: Final = 28
_MEAN: Final = (0.485, 0.456, 0.406)
_STD: Final = (0.229, 0.224, 0.225)
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

    mean: Tensor
    std: Tensor
    cells: Tensor

    def __init__(self, folder: Path) -> None:
        super().__init__()
        graph = onnx.load(str(folder / _FILE)).graph
        self._nodes = [_Node(node) for node in graph.node if not _is_shape(node)]
        self._names = [item.name for item in graph.initializer]
        for index, item in enumerate(graph.initializer):
            value = torch.from_numpy(numpy_helper.to_array(item).copy())
            self.register_buffer(f"constant{index}", value)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None])
        self.register_buffer("std", torch.tensor(_STD)[:, None, None])
        axis = torch.arange(_CELLS, dtype=torch.float32) * ((TEACHER_PX - 1) / (_CELLS - 1))
        down, across = torch.meshgrid(axis, axis, indexing="ij")
        self.register_buffer("cells", torch.stack([across.flatten(), down.flatten()]))
        self.eval().requires_grad_(False)

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Landmarks of aligned crops.

        Args:
            crops: (N, 3, 160, 160) RGB in [-1, 1].

        Returns:
            Points (N, 66, 2), x y in pixels of the crop, and confidences (N, 66) in [0, 1].
        """
        x1, y1, x2, y2 = WINDOW_XYXY_PX
        face = F.interpolate(crops[:, :, y1:y2, x1:x2], (TEACHER_PX, TEACHER_PX), mode="bilinear")
        maps = self._run(((face + 1.0) / 2.0 - self.mean) / self.std).float()
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

    def _run(self, face: Tensor) -> Tensor:
        values = {name: getattr(self, f"constant{i}") for i, name in enumerate(self._names)}
        values["input"] = face.contiguous(memory_format=torch.channels_last)
        for node in self._nodes:
            values[node.output] = node(values)
        return values["output"]


def _offset(logistic: Tensor) -> Tensor:
    inside = logistic.clamp(_LEAST_OFFSET, 1.0 - _LEAST_OFFSET)
    return torch.logit(inside) * ((TEACHER_PX - 1) / 16)


def _is_shape(node: onnx.NodeProto) -> bool:
    """Whether a node only works out sizes, which are always twice those before."""
    joins_sizes = any(a.name == "axis" and a.i == 0 for a in node.attribute)
    return node.op_type in ("Shape", "Slice") or (node.op_type == "Concat" and joins_sizes)


class _Node:
    """One step of the graph."""

    def __init__(self, node: onnx.NodeProto) -> None:
        self._kind = node.op_type
        self._inputs = [str(name) for name in node.input]
        self.output = str(node.output[0])
        values = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        self._attributes: dict[str, Any] = values

    def __call__(self, values: dict[str, Tensor]) -> Tensor:
        kind = self._kind
        first = values[self._inputs[0]]
        if kind in ("Conv", "FusedConv"):
            return self._convolved(first, values)
        if kind == "Resize":
            return F.interpolate(first, scale_factor=2.0, mode="bilinear", align_corners=True)
        if kind == "GlobalAveragePool":
            return first.mean((2, 3), keepdim=True)
        others = [values[name] for name in self._inputs[1:]]
        if kind == "Concat":
            return torch.cat([first, *others], 1)
        if kind == "Clip":
            return first.clamp(float(others[0]), float(others[1]))
        if kind == "Add":
            return first + others[0]
        if kind == "Mul":
            return first * others[0]
        if kind == "Div":
            return first / others[0]
        raise ValueError(f"the landmark teacher has a {kind}, which is not known here")

    def _convolved(self, x: Tensor, values: dict[str, Tensor]) -> Tensor:
        found = F.conv2d(
            x,
            values[self._inputs[1]],
            values[self._inputs[2]],
            self._attributes["strides"],
            self._attributes["pads"][:2],
            1,
            self._attributes["group"],
        )
        activation = self._attributes.get("activation", b"")
        if activation == b"Relu":
            return F.relu(found)
        if activation == b"Clip":
            low, high = self._attributes["activation_params"]
            return found.clamp(low, high)
        return found
