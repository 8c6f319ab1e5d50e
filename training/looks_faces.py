"""What the judge of looks learns from: crops with their own face, and with keyed ones."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from engines.embedder import FaceEmbedder
from engines.face_mask import blended, face_mask
from engines.generator import FaceGenerator
from engines.identity_composites import IdentityComposites
from engines.loader import load_engine
from engines.manifest import companion_array, load_manifest
from training.composites import LEAST_AGE, load_composites
from training.crops import ARCFACE, read_index
from training.keyed_identities import people_like, randomly_turned

__all__ = ["FACES_A_CROP", "HALF_PX", "LooksFaces", "usable_rows"]

FACES_A_CROP: Final = 3
HALF_PX: Final = 80
_PEOPLE_WEIGHTS: Final = (0.6, 1.2)
_LEAST_FILL: Final = 0.8
_BATCH: Final = 32


def usable_rows(data: Path) -> NDArray[np.int64]:
    """Rows of the index whose crops show a whole head, of nobody known to be a child."""
    rows = read_index(data / "train" / "index.csv")
    good = [
        float(row["fill160"]) >= _LEAST_FILL and not (row["age"] and float(row["age"]) < LEAST_AGE)
        for row in rows
    ]
    return np.flatnonzero(good)


class LooksFaces:
    """Draws crops with their own face and with others, at half size.

    Also a face that belongs to its head is drawn by the generator, so nothing tells it from the
    others but how it looks there.

    Args:
        generator: its manifest; the basis lies beside it.
        encoder: manifest of E_id.
        composites: file of what keyed identities are moved towards.
        threads: of each network.
        seed: of keys and angles.
    """

    def __init__(
        self, generator: Path, encoder: Path, *, composites: Path, threads: int, seed: int
    ) -> None:
        drawn_by, seen_by = load_manifest(generator), load_manifest(encoder)
        self._generator = FaceGenerator(load_engine(drawn_by, provider="cpu", threads=threads))
        self._embedder = FaceEmbedder(load_engine(seen_by, provider="cpu", threads=threads))
        basis = companion_array(drawn_by.extra, "identity_basis", generator.parent)
        if basis is None:
            raise ValueError(f"{generator} names no identity_basis")
        self._basis = torch.from_numpy(basis)
        self._composites = IdentityComposites(load_composites(composites))
        self._draws = torch.Generator().manual_seed(seed)

    def of(self, crops: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        """(N, 160, 160, 3) uint8 RGB to parts of (N, 3, 80, 80, 3), each crop's own face first."""
        for start in range(0, len(crops), _BATCH):
            part = np.ascontiguousarray(crops[start : start + _BATCH])
            views = np.ascontiguousarray(part[:, ARCFACE, ARCFACE])
            own = torch.from_numpy(self._embedder.embed(views))
            wanted = [own, *(self._keyed(own) for _ in range(FACES_A_CROP - 1))]
            yield np.stack([self._drawn(part, one) for one in wanted], 1)

    def drawn_coordinates(
        self, crops: NDArray[np.uint8], wanted: NDArray[np.float32]
    ) -> NDArray[np.uint8]:
        """Faces of (N, K) identities in crops (N, 160, 160, 3), (N, 80, 80, 3) uint8 RGB."""
        return self._drawn(crops, torch.from_numpy(wanted) @ self._basis)

    def _keyed(self, own: torch.Tensor) -> torch.Tensor:
        turned = randomly_turned(own, self._basis, self._draws)
        low, high = _PEOPLE_WEIGHTS
        weights = low + (high - low) * torch.rand(len(own), generator=self._draws)
        return people_like(turned, self._basis, self._composites, weights)

    def _drawn(self, crops: NDArray[np.uint8], wanted: torch.Tensor) -> NDArray[np.uint8]:
        faces, alphas = self._generator.generate(crops, wanted.numpy().astype(np.float32))
        seen = blended(crops, faces, alphas * face_mask(crops.shape[1]))
        size = (HALF_PX, HALF_PX)
        small = [cv2.resize(one, size, interpolation=cv2.INTER_AREA) for one in seen]
        return np.stack(small).astype(np.uint8)
