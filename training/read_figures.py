"""How well a reader reads the blocks of the identities that new faces were drawn for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.identity_blocks import identity_blocks
from training.read_back import seen_again

__all__ = ["ReadBlock", "read_blocks"]

ReadBlock: TypeAlias = tuple[int, float, float]


@torch.no_grad()
def read_blocks(
    reader: nn.Module,
    drawn: Iterable[tuple[Tensor, Tensor]],
    basis: Tensor,
    generator: torch.Generator,
) -> tuple[list[ReadBlock], float]:
    """What is read of coordinates: `gain` times the wanted ones, plus noise.

    Args:
        reader: crops (N, 3, 160, 160) to unit embeddings (N, 512).
        drawn: batches of new faces in [-1, 1] and the unit identities they were drawn for.
        basis: (K, 512) orthonormal rows.
        generator: source of what a video does to the faces.

    Returns:
        Coordinates, gain and noise (standard deviation of a coordinate) of each block; mean cosine
        of all coordinates.
    """
    rows = []
    for faces, wanted in drawn:
        found = reader(seen_again(faces, generator)).float()
        rows.append((F.normalize(found @ basis.t(), dim=1), F.normalize(wanted @ basis.t(), dim=1)))
    read, true = (torch.cat(part).numpy().astype(np.float64) for part in zip(*rows, strict=True))
    blocks = []
    for start, end in identity_blocks(read.shape[1]):
        a, b = read[:, start:end], true[:, start:end]
        gain = float((a * b).sum() / (b * b).sum())
        blocks.append((end - start, gain, float(np.sqrt(((a - gain * b) ** 2).mean()))))
    return blocks, float((read * true).sum(1).mean())
