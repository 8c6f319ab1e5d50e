"""What the generator is trained on: crops, teacher embeddings and landmarks, computed once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import cv2
import numpy as np
import onnxruntime as ort
import torch
from numpy.typing import NDArray
from torch import Tensor

from engines.manifest import sha256_of
from training.crops import ARCFACE, read_index, read_train_crops
from training.generator_landmarks import label_landmarks, mirror_landmarks
from training.generator_pseudo import nearest_pose, pseudo_swap

__all__ = [
    "Batch",
    "FaceBank",
    "Floats",
    "face_weights",
    "identities_file",
    "identity_basis",
    "load_bank",
    "turned",
]

_SIZE_PX: Final = 160
_CANDIDATES: Final = 10
BASIS_DIM: Final = 190

Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """A batch of training faces.

    Attributes:
        crops: (N, 3, 160, 160) RGB in [-1, 1].
        identities: (N, 512) unit embeddings of the crops by the encoder that ships.
        twins: The same of other photographs of the same people, where there are any.
        primary: (N, 512) unit EdgeFace-XS embeddings of the crops.
        second: (N, 128) unit MobileFaceNet embeddings of the crops.
        pseudo: (N, 3, 160, 160), the crops with the face of somebody else in them.
    """

    crops: Tensor
    identities: Tensor
    twins: Tensor
    primary: Tensor
    second: Tensor
    pseudo: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class FaceBank:
    """All training faces, in the order of the index; ``ages`` are years, NaN where not known."""

    crops: NDArray[np.uint8]
    identities: Floats
    primary: Floats
    primary_mirrored: Floats
    second: Floats
    landmarks: Floats
    weights: NDArray[np.float64]
    people: tuple[NDArray[np.int64], ...]
    ages: Floats

    def sample(self, count: int, rng: np.random.Generator) -> Batch:
        """Draw ``count`` faces, mirrored half of the time and moved by a few pixels."""
        rows = rng.choice(len(self.weights), count, p=self.weights)
        crops = np.empty((2, count, _SIZE_PX, _SIZE_PX, 3), np.uint8)
        mirrored = rng.random(count) < 0.5
        for k, row in enumerate(rows):
            crop, marks = self.crops[row], self.landmarks[row]
            if mirrored[k]:
                crop, marks = crop[:, ::-1], mirror_landmarks(marks, width_px=_SIZE_PX)
            crop = np.ascontiguousarray(crop)
            pair = crop, self._with_another_face(crop, marks, rng)
            crops[:, k] = _moved(pair, rng)
        twins = np.array([rng.choice(self.people[row]) for row in rows])
        primary = np.where(mirrored[:, None], self.primary_mirrored[rows], self.primary[rows])
        return Batch(
            crops=torch.from_numpy(crops[0]),
            pseudo=torch.from_numpy(crops[1]),
            identities=torch.from_numpy(self.identities[rows]),
            twins=torch.from_numpy(self.identities[twins]),
            primary=torch.from_numpy(primary),
            second=torch.from_numpy(self.second[rows]),
        )

    def _with_another_face(
        self, crop: NDArray[np.uint8], marks: Floats, rng: np.random.Generator
    ) -> NDArray[np.uint8]:
        """The pseudo-swap with the best posed of a few strangers."""
        rows = rng.choice(len(self.weights), min(_CANDIDATES, len(self.weights)))
        row = rows[nearest_pose(marks, self.landmarks[rows])]
        other = np.ascontiguousarray(self.crops[row])
        return pseudo_swap(crop, marks, other, self.landmarks[row])


def to_tensor(crops: NDArray[np.uint8]) -> Tensor:
    """(N, S, S, 3) uint8 to (N, 3, S, S) float in [-1, 1], channels last."""
    x = torch.from_numpy(crops).permute(0, 3, 1, 2).float()
    return (x / 127.5 - 1.0).contiguous(memory_format=torch.channels_last)


def _moved(crops: tuple[NDArray[np.uint8], ...], rng: np.random.Generator) -> NDArray[np.uint8]:
    """The alignment error of a real detector: 1.2 px, 2 % and 1.5 degrees (standard deviations)."""
    shift, scale, angle = (
        rng.normal(size=2) * 1.2,
        np.exp(rng.normal() * 0.02),
        rng.normal() * 0.026,
    )
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    linear = np.array([[c, -s], [s, c]])
    centre = np.array([80.0, 88.0])
    matrix = np.hstack([linear, (centre + shift - linear @ centre)[:, None]])
    size = (_SIZE_PX, _SIZE_PX)
    moved = [cv2.warpAffine(x, matrix, size, borderMode=cv2.BORDER_REFLECT_101) for x in crops]
    return np.stack(moved).astype(np.uint8)


def identity_basis(embeddings: Floats, *, dim: int = BASIS_DIM) -> Floats:
    """The subspace that the identities of a recogniser live in.

    Args:
        embeddings: (N, D) unit vectors.
        dim: Directions to keep.

    Returns:
        (dim, D) orthonormal rows, strongest first; signs are fixed by the largest entry of a row.
    """
    wide = embeddings.astype(np.float64)
    _, vectors = np.linalg.eigh(wide.T @ wide / len(wide))
    basis = vectors[:, ::-1][:, :dim].T.copy()
    largest = np.abs(basis).argmax(1)
    return (basis * np.sign(basis[np.arange(dim), largest])[:, None]).astype(np.float32)


def load_bank(data: Path, cache: Path, teachers: ModuleType, encoder: Path | None) -> FaceBank:
    """Read the training set of ``data``; slow parts are computed once and kept in ``cache``.

    Args:
        data: Folder of the face sets.
        cache: Folder of the arrays, outside the repository.
        teachers: The teachers' module.
        encoder: ``encoder.onnx`` whose embeddings are the identities; EdgeFace-XS without one.
    """
    cache.mkdir(parents=True, exist_ok=True)
    crops = _cached(cache / "crops160.npy", lambda: read_train_crops(data))

    def faces() -> NDArray[np.uint8]:
        return np.ascontiguousarray(crops[:, ARCFACE, ARCFACE])

    primary = _cached(cache / "edgeface_xs.npy", lambda: teachers.embed_edgeface(faces()))
    mirrored = _cached(
        cache / "edgeface_xs_flip.npy",
        lambda: teachers.embed_edgeface(np.ascontiguousarray(faces()[:, :, ::-1])),
    )
    second = _cached(cache / "mobilefacenet.npy", lambda: teachers.embed_mobilefacenet(faces()))
    marks = _cached(cache / "landmarks66.npy", lambda: label_landmarks(crops, teachers))
    identities = primary
    if encoder is not None:
        identities = _cached(
            identities_file(cache, encoder), lambda: _embed_shipped(encoder, crops)
        )
    rows = read_index(data / "train" / "index.csv")
    weights = face_weights(rows, turned(marks))
    ages = np.array([float(row["age"] or "nan") for row in rows], np.float32)
    return FaceBank(
        crops, identities, primary, mirrored, second, marks, weights, _people(rows), ages
    )


def identities_file(cache: Path, encoder: Path) -> Path:
    """Where ``load_bank`` keeps what an encoder reads in the training faces, (N, 512)."""
    return cache / f"identities-{sha256_of(encoder)[:8]}.npy"


def _embed_shipped(encoder: Path, crops: NDArray[np.uint8]) -> Floats:
    session = ort.InferenceSession(str(encoder), providers=["CPUExecutionProvider"])
    out = np.empty((len(crops), 512), np.float32)
    for i in range(0, len(crops), 64):
        faces = (crops[i : i + 64, ARCFACE, ARCFACE].astype(np.float32) - 127.5) / 127.5
        feed = {"input": np.ascontiguousarray(faces.transpose(0, 3, 1, 2))}
        out[i : i + 64] = session.run(None, feed)[0]
    return out


def _cached(path: Path, make: Callable[[], Any]) -> Any:  # noqa: ANN401 - any element type
    if not path.exists():
        draft = path.with_suffix(".tmp.npy")
        np.save(draft, make())
        draft.replace(path)
    return np.load(path, mmap_mode="r" if path.stat().st_size > 1 << 28 else None)


def turned(landmarks: Floats) -> Floats:
    """(N,) how far heads are turned aside: 0 up to about 10 degrees, 1 from about 50.

    Args:
        landmarks: (N, 66, 2 or more) pixels of the crops.
    """
    outer, tip = landmarks[:, [36, 45], :2], landmarks[:, 30]
    between = np.maximum(np.linalg.norm(outer[:, 1] - outer[:, 0], axis=1), 20.0)
    aside = np.abs(tip[:, 0] - outer[:, :, 0].mean(1)) / between
    return np.asarray(np.clip((aside - 0.05) / 0.25, 0.0, 1.0), np.float32)


def face_weights(rows: list[dict[str, str]], aside: Floats) -> NDArray[np.float64]:
    """Whole and sharp pictures more often: the discriminator learns sharpness from them.

    Turned heads too, up to three times: they are few, and the hardest to paint.
    """
    covered = np.array([1.0 if float(r["fill160"]) > 0.75 else 0.4 for r in rows])
    sharp = np.array([1.0 if float(r["scale"]) < 1.0 else 0.5 for r in rows])
    weights = covered * sharp * (1.0 + 2.0 * aside)
    return np.asarray(weights / weights.sum(), np.float64)


def _people(rows: list[dict[str, str]]) -> tuple[NDArray[np.int64], ...]:
    """For each row the rows of the same person, itself included."""
    groups: dict[str, list[int]] = {}
    for i, row in enumerate(rows):
        groups.setdefault(row["identity"] or f"row {i}", []).append(i)
    arrays = {name: np.array(members, np.int64) for name, members in groups.items()}
    return tuple(arrays[row["identity"] or f"row {i}"] for i, row in enumerate(rows))
