"""Data that networks take and give: tensor descriptions and face detections."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from engines.arrays import Float32Array, require_array

__all__ = ["Detections", "EngineInfo", "TensorSpec"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, shape and type of one input or output of a network.

    Attributes:
        name: tensor name in the graph.
        shape: sizes; None where the size is free.
        dtype: NumPy name of the element type, such as "float32".
    """

    name: str
    shape: tuple[int | None, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What runs a network, for reports.

    Attributes:
        backend: "onnxruntime", "tensorrt" or "openvino".
        provider: where it runs, such as "cpu" or "cuda".
        device: the device in words.
        model: model name and version.
        precision: "fp32", "fp16", "bf16" or "int8".
        reason: why this provider was chosen.
    """

    backend: str
    provider: str
    device: str
    model: str
    precision: str
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """Faces found in one frame; row i of every array is the same face.

    Attributes:
        boxes_xyxy_px: (N, 4) float32, corners in source-frame pixels.
        landmarks_px: (N, 5, 2) float32, x y; eyes, nose, mouth corners, viewer's left first.
        scores: (N,) float32 in [0, 1].
    """

    boxes_xyxy_px: Float32Array
    landmarks_px: Float32Array
    scores: Float32Array

    def __post_init__(self) -> None:
        n = len(self.scores)
        require_array("boxes_xyxy_px", self.boxes_xyxy_px, (n, 4), np.float32)
        require_array("landmarks_px", self.landmarks_px, (n, 5, 2), np.float32)
        require_array("scores", self.scores, (n,), np.float32)

    def __len__(self) -> int:
        return len(self.scores)

    @staticmethod
    def empty() -> Detections:
        """The result of a detector that ran and found nothing."""
        return Detections(
            np.zeros((0, 4), np.float32),
            np.zeros((0, 5, 2), np.float32),
            np.zeros(0, np.float32),
        )
