"""Lessons: inputs, identities and wanted outputs of the part of a batch that has a ground truth."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.generator_data import Batch
from training.losses_image import degrade

__all__ = ["Lessons", "lesson_keeps_identity", "make_lessons"]

_KINDS = 5
_THERE, _KEEP = 3, 4


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """What goes in and what must come out.

    Attributes:
        inputs: (N, 3, S, S) in [-1, 1].
        identities: (N, 512) unit vectors.
        outputs: (N, 3, S, S) in [-1, 1].
    """

    inputs: Tensor
    identities: Tensor
    outputs: Tensor


def lesson_keeps_identity(count: int) -> Tensor:
    """(N,) whether the wanted output shows the person of the batch's crop."""
    return torch.arange(count) % _KINDS != _THERE


def make_lessons(
    batch: Batch, count: int, reader: nn.Module, generator: torch.Generator
) -> Lessons:
    """Lessons from the first ``count`` faces of a batch, their kinds by turns.

    Three of five: the pseudo-swap must become the photograph again, for the identity of the person
    on it (recovery, with a real photograph as ground truth). One: the photograph must become the
    pseudo-swap, for the identity that is read from that (protection). One: the photograph from
    itself.
    """
    kind = torch.arange(count) % _KINDS
    crops, pseudo = batch.crops[:count], batch.pseudo[:count]
    there = (kind == _THERE)[:, None]
    twin = torch.rand((count, 1), generator=generator) < 0.2
    own = torch.where(twin, batch.twins[:count], batch.identities[:count])
    identities = own
    if bool(there.any()):
        with torch.no_grad():
            identities = torch.where(there, reader(pseudo), own)
    worn = degrade(pseudo, generator) if torch.rand((), generator=generator) < 0.4 else pseudo
    pick = there[:, :, None, None]
    keep = (kind == _KEEP)[:, None, None, None]
    return Lessons(
        inputs=torch.where(pick | keep, crops, worn),
        identities=identities,
        outputs=torch.where(pick, pseudo, crops),
    )
