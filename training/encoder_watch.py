"""The held-out people a training is watched on; none of them is in the training set."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.crops import ARCFACE, read_index, read_tar_crops
from training.runtime import half_precision
from training.teachers import load_teachers

__all__ = ["held_out_cosine", "held_out_crops"]


@torch.no_grad()
def held_out_cosine(model: nn.Module, held_out: tuple[Tensor, Tensor], size_px: int) -> float:
    """Mean cosine to the teacher.

    Args:
        model: The network to watch, in evaluation mode.
        held_out: (M, 3, 112, 112) uint8 crops and (M, 512) unit teacher embeddings.
        size_px: The size the network is being trained at.
    """
    faces, target = held_out
    total = 0.0
    for i in range(0, len(faces), 64):
        x = F.interpolate(faces[i : i + 64].float(), size=size_px, mode="bilinear", antialias=True)
        with half_precision():
            raw = model((x - 127.5) / 127.5)
        total += (F.normalize(raw.float(), dim=1) * target[i : i + 64]).sum().item()
    return total / len(faces)


def held_out_crops(data: Path, teachers: Path) -> tuple[Tensor, Tensor]:
    """Every second crop of the held-out CelebA identities and the teacher's embeddings of them."""
    names = [row["file"] for row in read_index(data / "eval" / "celeba_ids.csv")][::2]
    crops = read_tar_crops([data / "eval" / "celeba_ids.tar"], names, size_px=160)[
        :, ARCFACE, ARCFACE
    ]
    target = load_teachers(teachers).embed_edgeface(np.ascontiguousarray(crops))
    return torch.from_numpy(crops.copy()).permute(0, 3, 1, 2), torch.from_numpy(target)
