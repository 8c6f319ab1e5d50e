"""Batches whose teacher sees the very picture that the student sees, each picture only once.

With stored targets a few ten thousand photographs are soon memorised. Here every face is moved,
stretched and mixed with another one anew, and the teacher labels the result: it is slower, but the
student learns the teacher's function and not a table (Beyer et al. 2022, "Knowledge distillation: A
good teacher is patient and consistent").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from training.encoder_augment import change_light_and_detail
from training.runtime import half_precision

__all__ = ["ConsistentFeed", "label"]

_SIZE_PX: Final = 112
_CANVAS_PX: Final = 160
_MIXED_RATIO: Final = 0.5
_Rgb = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, eq=False)
class ConsistentFeed:
    """Makes the batch of a step; depends on the seed and the step only.

    Attributes:
        crops: (N, 160, 160, 3) uint8 RGB aligned crops.
        batch: Pictures in a batch.
        seed: Equal seeds give equal batches.
    """

    crops: _Rgb
    batch: int
    seed: int

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        """What the teacher and what the student sees, each (N, 3, 112, 112) in [-1, 1].

        They differ in light, sharpness, compression and occlusion, never in geometry.
        """
        rng = np.random.default_rng([self.seed, 4, step])
        clean = [self._face(rng) for _ in range(self.batch)]
        worn = [change_light_and_detail(face, rng) for face in clean]
        return _as_input(np.stack(clean)), _as_input(np.stack(worn))

    def _face(self, rng: np.random.Generator) -> _Rgb:
        face = _moved(self.crops[rng.integers(len(self.crops))], rng)
        if rng.random() >= _MIXED_RATIO:
            return face
        other = _moved(self.crops[rng.integers(len(self.crops))], rng)
        if rng.random() < 0.4:
            weight = float(rng.uniform(0.25, 0.75))
            return np.asarray(cv2.addWeighted(face, weight, other, 1 - weight, 0), np.uint8)
        noise = rng.normal(size=(5, 5)).astype(np.float32)
        mask = 1 / (1 + np.exp(-4 * cv2.resize(noise, (_SIZE_PX, _SIZE_PX), interpolation=2)))
        return np.asarray(cv2.blendLinear(face, other, mask, 1 - mask), np.uint8)


def _moved(crop: _Rgb, rng: np.random.Generator) -> _Rgb:
    """Mirror, shift, turn and stretch; every other face keeps its proportions."""
    shift, angle = rng.normal(size=2) * 1.5, rng.normal() * 0.05
    stretch = np.exp(rng.normal(size=2) * 0.04)
    shear = 0.0
    if rng.random() < 0.5:
        stretch, shear = stretch * np.exp(rng.normal(size=2) * 0.06), rng.normal() * 0.06
    c, s = np.cos(angle), np.sin(angle)
    sign = -1.0 if rng.random() < 0.5 else 1.0
    linear = np.array([[c, -s], [s, c]]) @ np.array([[1.0, shear], [0.0, 1.0]])
    linear = linear @ np.diag(stretch * np.array([sign, 1.0]))
    centre = (_CANVAS_PX - 1) / 2
    offset = (_SIZE_PX - 1) / 2 + shift - linear @ np.full(2, centre)
    matrix = np.hstack([linear, offset[:, None]])
    size = (_SIZE_PX, _SIZE_PX)
    return np.asarray(
        cv2.warpAffine(crop, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT),
        np.uint8,
    )


def _as_input(faces: _Rgb) -> Tensor:
    return torch.from_numpy(faces).permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)


@torch.no_grad()
def label(teacher: nn.Module, faces: Tensor) -> Tensor:
    """The teacher's unit embeddings (N, 512) float32 of faces (N, 3, 112, 112)."""
    with half_precision():
        found = teacher(faces.contiguous(memory_format=torch.channels_last))
    return F.normalize(found.float(), dim=1)
