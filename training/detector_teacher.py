"""A trained face detector as a teacher: its score of every cell, and the features behind it.

YuNet has the same cells as our detector (one anchor at strides 8, 16 and 32), so each of our
cells can learn what the teacher says there.  Its features are hints (Romero et al., ICLR 2015):
a linear map from ours must be able to give them.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor, nn
from torch.nn import functional

from training.detector_net import STRIDES

__all__ = ["Hints", "Lesson", "YuNetTeacher"]

# Outputs of the teacher's backbone and of its heads before the last layers, by stride.
_BACKBONE = ("241", "250", "263")
_TOWERS = ("287", "291", "295")
_CHANNELS = 64


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What the teacher says of a batch.

    ``scores (N, P)`` of all cells, finest stride first; ``features``, six maps
    ``(N, 64, H/S, W/S)``, backbone before heads.
    """

    scores: Tensor
    features: list[Tensor]


class YuNetTeacher:
    """Runs ``yunet_n_dynamic.onnx`` on training batches; not thread-safe.

    Args:
        path: The model file.
        threads: Threads of one run.
    """

    def __init__(self, path: Path, *, threads: int) -> None:
        model = onnx.load(str(path))
        for name in (*_BACKBONE, *_TOWERS):
            model.graph.output.append(
                onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)
            )
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._scores = [f"{kind}_{stride}" for stride in STRIDES for kind in ("cls", "obj")]

    def look(self, x: Tensor) -> Lesson:
        """Judge ``x (N, 3, H, W)`` RGB in [-1, 1]; sides are multiples of 32."""
        bgr = np.ascontiguousarray((x.flip(1) * 128.0 + 127.5).float().numpy())
        names = [*self._scores, *_BACKBONE, *_TOWERS]
        found = [torch.from_numpy(v) for v in self._session.run(names, {"input": bgr})]
        pairs = zip(found[0:6:2], found[1:6:2], strict=True)
        scores = [(a.clamp(0, 1) * b.clamp(0, 1)).sqrt().squeeze(-1) for a, b in pairs]
        return Lesson(torch.cat(scores, 1), found[6:])


class Hints(nn.Module):
    """Linear maps from our features to the teacher's; used in training only."""

    def __init__(self, backbone: tuple[int, int, int], head: int) -> None:
        super().__init__()
        widths = (*backbone, head, head, head)
        self.maps = nn.ModuleList([nn.Conv2d(width, _CHANNELS, 1) for width in widths])

    def forward(self, ours: list[Tensor], theirs: list[Tensor]) -> Tensor:
        """Return the mean squared error in units of the teacher's variance, a scalar."""
        errors = []
        for layer, mine, wanted in zip(self.maps, ours, theirs, strict=True):
            spread = wanted.std((0, 2, 3), keepdim=True)
            scale = spread.clamp(min=0.2 * float(spread.mean()))  # hardly used channels count less
            errors.append(functional.mse_loss(layer(mine).float() / scale, wanted / scale))
        return torch.stack(errors).mean()
