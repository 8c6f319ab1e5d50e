"""Hints: the teacher's feature maps as extra targets for the student's.

An embedding is one target for a picture; the maps on the way to it are thousands. With little time
to train, matching them teaches the lower layers much faster than the gradient of the embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["HINT_CHANNELS", "HintBank", "HintHeads", "teacher_maps"]

# Ends of EdgeFace-XS' second, third and fourth stage, on 14x14, 7x7 and 3x3 cells.
_TEACHER_MAPS: Final = (
    "/stages/stages.1/blocks/blocks.2/Add_3_output_0",
    "/stages/stages.2/blocks/blocks.8/Add_3_output_0",
    "/stages/stages.3/blocks/blocks.2/Add_4_output_0",
)
HINT_CHANNELS: Final = (64, 100, 192)
_SIDES: Final = (14, 7, 3)


def teacher_maps(
    model: Path, crops: NDArray[np.uint8], *, threads: int
) -> list[NDArray[np.float16]]:
    """Run EdgeFace-XS and keep three of its feature maps.

    Args:
        model: The teacher's ONNX file.
        crops: (N, 112, 112, 3) uint8 RGB.
        threads: Threads to use.

    Returns:
        (N, C, h, w) float16 for each hint.
    """
    graph = onnx.load(str(model))
    for name in _TEACHER_MAPS:
        graph.graph.output.append(
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
        )
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(
        graph.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    shapes = zip(HINT_CHANNELS, _SIDES, strict=True)
    out = [np.empty((len(crops), c, side, side), np.float16) for c, side in shapes]
    for i in range(0, len(crops), 16):
        x = (crops[i : i + 16].astype(np.float32) - 127.5) / 127.5
        feed = {"input": np.ascontiguousarray(x.transpose(0, 3, 1, 2))}
        for kept, made in zip(out, session.run(list(_TEACHER_MAPS), feed), strict=True):
            kept[i : i + 16] = made
    return out


@dataclass(frozen=True, slots=True, eq=False)
class HintBank:
    """The teacher's maps of all photographs, with the statistics that even the channels out.

    Attributes:
        maps: (N, C, h, w) float16 for each hint.
        means: (C,) float32 for each hint.
        stds: (C,) float32 for each hint.
    """

    maps: tuple[NDArray[np.float16], ...]
    means: tuple[NDArray[np.float32], ...]
    stds: tuple[NDArray[np.float32], ...]

    @classmethod
    def of(cls, maps: Sequence[NDArray[np.float16]]) -> HintBank:
        """A bank of maps; the statistics come from a sample of them."""
        samples = [m[:: max(1, len(m) // 500)].astype(np.float32) for m in maps]
        means = tuple(s.mean((0, 2, 3)) for s in samples)
        return cls(tuple(maps), means, tuple(s.std((0, 2, 3)) + 1e-3 for s in samples))

    def rows(self, numbers: Sequence[int]) -> list[Tensor]:
        """Evened out maps (n, C, h, w) float32 of some photographs, for each hint."""
        out = []
        for maps, mean, std in zip(self.maps, self.means, self.stds, strict=True):
            picked = np.stack([maps[i] for i in numbers]).astype(np.float32)
            out.append(torch.from_numpy((picked - mean[:, None, None]) / std[:, None, None]))
        return out


class HintHeads(nn.Module):
    """One linear map from each of the student's maps to the teacher's channels.

    Args:
        channels: Channels of the student's maps.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        pairs = zip(channels, HINT_CHANNELS, strict=True)
        self.heads = nn.ModuleList(nn.Conv2d(c, t, 1) for c, t in pairs)

    def loss(self, maps: Sequence[Tensor], hints: Sequence[Tensor], rows: Any) -> Tensor:  # noqa: ANN401 - a tensor or a slice
        """Mean squared error, averaged over the hints.

        Args:
            maps: The student's maps of the whole batch.
            hints: The teacher's maps of the rows that have one.
            rows: Which rows those are.
        """
        total = torch.zeros(())
        for head, ours, theirs in zip(self.heads, maps, hints, strict=True):
            # The coarser grid of the two: never invent detail.
            side = min(ours.shape[-1], theirs.shape[-1])
            student = F.adaptive_avg_pool2d(head(ours[rows].float()), side)
            total = total + F.mse_loss(student, F.adaptive_avg_pool2d(theirs, side))
        return total / len(hints)
