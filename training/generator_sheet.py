"""Contact sheets: what the generator does, for people to look at."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.identity_composites import IdentityComposites
from training.face_synthesis import FaceSynthesis
from training.generator_data import FaceBank, to_tensor
from training.keyed_identities import people_like, rotated_targets
from training.losses_image import composite

__all__ = ["save_sheet", "sheet_rows"]

_FACES = 10


@torch.no_grad()
def sheet_rows(
    net: FaceSynthesis,
    crops: Tensor,
    identities: Tensor,
    others: Tensor,
    composites: IdentityComposites,
) -> list[Tensor]:
    """Rows of pictures, each (N, 3, S, S) in [-1, 1].

    Original, rebuilt from the own identity, two rotations, another person, recovered from the first
    rotation, and the same with a wrong key.
    """
    generator = torch.Generator().manual_seed(7)
    angles = torch.full((len(crops),), 85.0)
    turned = [
        people_like(
            rotated_targets(identities, net.basis, angles, generator),
            net.basis,
            composites,
            torch.ones(len(crops)),
        )
        for _ in range(3)
    ]

    def make(source: Tensor, identity: Tensor) -> Tensor:
        face, alpha = net(source, identity)
        return composite(face, alpha, source)

    first = make(crops, turned[0])
    return [
        crops,
        make(crops, identities),
        first,
        make(crops, turned[1]),
        make(crops, others),
        make(first, identities),
        make(first, turned[2]),
    ]


def save_sheet(
    path: Path, net: FaceSynthesis, bank: FaceBank, composites: IdentityComposites
) -> None:
    """Write a contact sheet of fixed training faces."""
    rng = np.random.default_rng(123)
    chosen = np.sort(rng.choice(len(bank.weights), _FACES, replace=False, p=bank.weights))
    crops = to_tensor(np.stack([bank.crops[i] for i in chosen]))
    identities = torch.from_numpy(bank.identities[chosen])
    rows = sheet_rows(net, crops, identities, identities.roll(3, 0), composites)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(path, rows)


def write_picture(path: Path, rows: list[Tensor]) -> None:
    """Rows of (N, 3, S, S) in [-1, 1] as one picture."""
    lines = [np.hstack(list(to_pixels(row))) for row in rows]
    cv2.imwrite(str(path), np.vstack(lines)[:, :, ::-1])


def to_pixels(faces: Tensor) -> NDArray[np.uint8]:
    """(N, 3, S, S) in [-1, 1] to (N, S, S, 3) uint8."""
    scaled = ((faces.float() + 1.0) * 127.5).round().clamp(0, 255)
    return np.asarray(scaled.to(torch.uint8).permute(0, 2, 3, 1).numpy())
