"""Two keys for one face: pairs of swaps that must not look alike.

Faces that meet their wanted identities well enough may still share what no loss of one face sees:
the generator's own taste, and what the crop lets through. A pair has one crop and two wanted
identities, so what its faces have in common is that, and it links the outputs of two passwords.
"""

from __future__ import annotations

import dataclasses

import torch
from torch import Tensor
from torch.nn import functional as F

from training.generator_data import Batch
from training.losses_identity import cosine

__all__ = ["pair_hinge", "paired", "strangers"]


def paired(batch: Batch, taught: int) -> Batch:
    """The batch with every second swap showing the crop before it; the lessons stay.

    Args:
        batch: Faces, of which the first ``taught`` are lessons and the others are swapped.
        taught: Lessons.
    """
    rows = torch.arange(len(batch.crops))
    swap = rows - taught
    rows = torch.where((swap > 0) & (swap % 2 == 1), rows - 1, rows)
    fields = {f.name: getattr(batch, f.name)[rows] for f in dataclasses.fields(Batch)}
    return Batch(**fields)


def strangers(count: int, taught: int) -> Tensor:
    """(count - taught,) rows of other people for the swaps, two of them for a pair.

    They are the lessons' people; without lessons, people of other pairs.
    """
    swaps = torch.arange(count - taught)
    return swaps % taught if taught else (swaps + 2 + swaps % 2) % max(count, 1)


def pair_hinge(found: Tensor, *, allowed: float) -> Tensor:
    """How alike the two faces of the pairs are beyond what is allowed; a scalar.

    Args:
        found: (N, D) unit embeddings of the swaps of a paired batch.
        allowed: Cosine up to which two faces are different enough.
    """
    pairs = len(found) // 2
    if not pairs:
        return found.new_zeros(())
    both = found[: 2 * pairs]
    return F.relu(cosine(both[0::2], both[1::2]) - allowed).mean()
