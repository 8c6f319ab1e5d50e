"""What the encoder learns from: pictures and the teacher's embeddings, computed once and kept."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from training.crops import ARCFACE, read_train_crops
from training.encoder_blends import blend_faces
from training.encoder_hints import HintBank, teacher_maps
from training.teachers import load_teachers

__all__ = ["Batch", "Targets", "load_targets"]

_BLENDS_IN_A_FILE = 27000
_FLIP_RATIO = 0.25


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Pictures to augment and what the teacher says of them.

    Attributes:
        faces: (128, 128, 3) uint8 RGB each.
        flips: Whether to mirror each of them.
        targets: (N, 512) float32 unit embeddings.
        hinted: Rows that have hints.
        hints: The teacher's feature maps of those rows.
    """

    faces: list[NDArray[np.uint8]]
    flips: list[bool]
    targets: NDArray[np.float32]
    hinted: list[int]
    hints: list[Tensor]


@dataclass(frozen=True, slots=True, eq=False)
class Targets:
    """Photographs and composites with their teacher embeddings.

    Attributes:
        crops: (N, 160, 160, 3) uint8 RGB.
        plain: (N, 512) float32 unit, the teacher on the crop.
        flipped: (N, 512) float32 unit, the teacher on the mirrored crop.
        blends: Composites, (M, 128, 128, 3) uint8 RGB in each file.
        blended: Their embeddings, (M, 512) float32 unit each.
        hints: The teacher's feature maps on the plain crops.
    """

    crops: NDArray[np.uint8]
    plain: NDArray[np.float32]
    flipped: NDArray[np.float32]
    blends: tuple[NDArray[np.uint8], ...]
    blended: tuple[NDArray[np.float32], ...]
    hints: HintBank

    def draw(self, rng: np.random.Generator, *, count: int, blend_ratio: float) -> Batch:
        """Pick ``count`` pictures at random, ``blend_ratio`` of them composites."""
        composites = int(count * blend_ratio) if self.blends else 0
        rows = rng.integers(len(self.crops), size=count - composites)
        flips = [bool(f) for f in rng.random(len(rows)) < _FLIP_RATIO]
        faces = [self.crops[i, 16:144, 16:144] for i in rows]
        targets = [(self.flipped if f else self.plain)[i] for i, f in zip(rows, flips, strict=True)]
        for _ in range(composites):
            k = int(rng.integers(len(self.blends)))
            i = int(rng.integers(len(self.blends[k])))
            faces.append(self.blends[k][i])
            targets.append(self.blended[k][i])
            flips.append(False)
        # Maps of mirrored pictures are not mirrored maps, so those rows have no hint.
        hinted = [i for i in range(len(rows)) if not flips[i]]
        hints = self.hints.rows([int(rows[i]) for i in hinted]) if hinted else []
        return Batch(faces, flips, np.stack(targets), hinted, hints)


def load_targets(
    data: Path,
    teachers: Path,
    cache: Path,
    *,
    blend_files: int,
    with_hints: bool = True,
    limit: int | None = None,
) -> Targets:
    """Read the cache, and fill in what it lacks (minutes on two cores).

    Args:
        data: Folder of the crops (``../shared/faces``).
        teachers: Folder of the teacher models (``../shared/models``).
        cache: Folder of the arrays; one that lies outside the repository.
        blend_files: Sets of 27,000 composites to use.
        with_hints: Whether the teacher's feature maps are wanted.
        limit: Use only so many photographs and composites, for a quick try.
    """
    crops = _cached(cache / "crops160.npy", lambda: read_train_crops(data))[:limit]
    if limit is not None:
        cache = cache / f"first{limit}"

    def embed(crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.asarray(
            load_teachers(teachers).embed_edgeface(np.ascontiguousarray(crops)), np.float32
        )

    centre = crops[:, ARCFACE, ARCFACE]
    plain = _cached(cache / "edgeface_xs.npy", lambda: embed(centre))
    flipped = _cached(cache / "edgeface_xs_flip.npy", lambda: embed(centre[:, :, ::-1]))
    blends, blended = [], []
    for k in range(1, blend_files + 1):
        seeded = _Composites(crops, k, limit or _BLENDS_IN_A_FILE)
        made = _cached(cache / f"blend{k}.npy", seeded)
        blends.append(made)
        targets = _cached(cache / f"blend_edgeface{k}.npy", partial(embed, made[:, 8:120, 8:120]))
        blended.append(np.asarray(targets))
    hints = HintBank.of(_hints(centre, teachers, cache) if with_hints else [])
    return Targets(
        crops, np.asarray(plain), np.asarray(flipped), tuple(blends), tuple(blended), hints
    )


def _hints(centre: NDArray[np.uint8], teachers: Path, cache: Path) -> list[NDArray[np.float16]]:
    paths = [cache / f"hint{k}.npy" for k in range(3)]
    if not all(path.exists() for path in paths):
        maps = teacher_maps(teachers / "edgeface_xs.onnx", centre, threads=2)
        for path, values in zip(paths, maps, strict=True):
            _cached(path, partial(np.asarray, values))
    return [np.load(path, mmap_mode="r") for path in paths]


@dataclass(frozen=True, slots=True, eq=False)
class _Composites:
    crops: NDArray[np.uint8]
    seed: int
    count: int

    def __call__(self) -> NDArray[np.uint8]:
        return blend_faces(self.crops, self.count, seed=self.seed)


def _cached(path: Path, make: Callable[[], NDArray[Any]]) -> NDArray[Any]:
    """The array of ``path``, memory-mapped; made first when the file is missing."""
    if not path.exists():
        draft = path.with_suffix(".new.npy")
        path.parent.mkdir(parents=True, exist_ok=True)
        np.save(draft, make())
        os.replace(draft, path)
    return np.asarray(np.load(path, mmap_mode="r"))
