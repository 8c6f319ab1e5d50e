"""Teachers out of their ONNX files, as networks that gradients flow through."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["OnnxGraph"]

# What an image is normalised by, for values in [0, 1].
_MEAN: Final = (0.485, 0.456, 0.406)
_STD: Final = (0.229, 0.224, 0.225)
_SIZES: Final = ("Constant", "Shape", "Slice")

# By kind of node; inputs that are constants of the clipping and of sizes are not needed.
_KINDS: Final[dict[str, Callable[..., Tensor]]] = {
    "Conv": F.conv2d,
    "Clip": lambda x, *_: F.relu6(x),
    "Relu": F.relu,
    "Add": torch.add,
    "Mul": torch.mul,
    "Div": torch.div,
    "Concat": lambda *parts: torch.cat(parts, 1),
    "GlobalAveragePool": lambda x: x.mean((2, 3), keepdim=True),
    "Resize": lambda x, *_: F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=True),
    "Reshape": lambda x, *_: x.flatten(1),
}
_Step = tuple[str, list[str], str, dict[str, Any]]


class OnnxGraph(nn.Module):
    """A network of the few kinds of nodes that the teachers have, frozen.

    The teachers clip to [0, 6] only. ``clamp``, with which their own reader does that, has a
    backward pass that costs a third of a network's time on a CPU; ``relu6`` is the same function
    with a fused one. They resize to twice the size only.

    Args:
        path: The ONNX file.

    Raises:
        KeyError: When it runs, for a node of another kind.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        graph = onnx.load(str(path)).graph
        self._steps = [step for node in graph.node for step in _steps(node)]
        self._ends = graph.input[0].name, graph.output[0].name
        self.taps: tuple[str, ...] = ()  # maps to keep in ``tapped`` when it runs
        self.tapped: list[Tensor] = []
        self._weights = {t.name: f"w{i}" for i, t in enumerate(graph.initializer)}
        for tensor in graph.initializer:
            value = torch.from_numpy(numpy_helper.to_array(tensor).copy())
            self.register_buffer(self._weights[tensor.name], value)
        self.register_buffer("mean", torch.tensor(_MEAN).view(1, 3, 1, 1) * 2 - 1)
        self.register_buffer("std", torch.tensor(_STD).view(1, 3, 1, 1) * 2)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [-1, 1] to what the file gives for it, normalised as for ImageNet."""
        values = {name: getattr(self, key) for name, key in self._weights.items()}
        values[self._ends[0]] = (x - self.mean) / self.std
        for kind, names, output, settings in self._steps:
            values[output] = _KINDS[kind](*(values.get(name) for name in names), **settings)
        self.tapped = [values[name] for name in self.taps]
        result: Tensor = values[self._ends[1]]
        return result


def _steps(node: onnx.NodeProto) -> Iterator[_Step]:
    """What is to be done for a node; nothing if it only works out sizes."""
    a = {item.name: item for item in node.attribute}
    names, output = list(node.input), str(node.output[0])
    if node.op_type in _SIZES or (node.op_type == "Concat" and a["axis"].i == 0):
        return
    if node.op_type not in ("Conv", "FusedConv"):
        yield node.op_type, names, output, {}
        return
    settings = {
        "stride": tuple(a["strides"].ints),
        "padding": tuple(a["pads"].ints[:2]),
        "dilation": tuple(a["dilations"].ints),
        "groups": a["group"].i,
    }
    yield "Conv", names, output, settings
    if node.op_type == "FusedConv":
        yield a["activation"].s.decode(), [output], output, {}
