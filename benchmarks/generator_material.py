"""What the generator is measured on: held-out faces, keys, and what the product makes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.key_choice import RecallSpace
from engines.arrays import Float32Array, UInt8Array
from engines.embedder import FaceEmbedder
from engines.generator import FaceGenerator
from engines.loader import load_engine
from engines.manifest import WEIGHTS_FOLDER, load_manifest
from streamer.config import AppConfig
from streamer.face_looks import FaceLooks
from streamer.identity import IdentitySpace, load_identity_space
from streamer.likeness import redrawn
from streamer.models import load_models, people_weight
from streamer.reader import open_reader
from streamer.rotation_kinds import RotationKind
from streamer.rotator import Rotator, angle_for_level, make_rotator
from training.crops import ARCFACE, read_index, read_tar_crops

__all__ = ["HeldOut", "Product", "drawn_identity", "key_of", "load_held_out"]

LEVELS: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class HeldOut:
    """Faces of people that no training saw.

    Attributes:
        crops: (N, 160, 160, 3) uint8 RGB.
        people: (N,) number of the person.
        gallery: (P,) row of one other picture of each person, for identification.
        probes: rows to protect; none is in the gallery.
    """

    crops: UInt8Array
    people: np.ndarray
    gallery: np.ndarray
    probes: np.ndarray


def load_held_out(shared: Path, *, per_person: int) -> HeldOut:
    """CelebA identities kept for evaluation; pictures with doubtful labels are left out."""
    folder = shared / "faces" / "eval"
    doubtful = {row["file"] for row in read_index(folder / "celeba_ids_suspect.csv")}
    rows = [r for r in read_index(folder / "celeba_ids.csv") if r["file"] not in doubtful]
    groups: dict[str, list[str]] = {}
    for row in rows:
        groups.setdefault(row["identity"], []).append(row["file"])
    groups = {name: files[: per_person + 1] for name, files in groups.items() if len(files) > 1}
    names = [file for files in groups.values() for file in files]
    sizes = [len(files) for files in groups.values()]
    people = np.repeat(np.arange(len(sizes)), sizes)
    gallery = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    probes = np.setdiff1d(np.arange(len(names)), gallery)
    crops = read_tar_crops([folder / "celeba_ids.tar"], names, size_px=160)
    return HeldOut(crops, people, gallery, probes)


def key_of(number: int) -> bytes:
    """A scope key for the benchmark: distinct, and the same in each run."""
    return number.to_bytes(4, "big") * 8


def drawn_identity(space: IdentitySpace, turned: Float32Array, kind: RotationKind) -> Float32Array:
    """The (D,) embedding that is drawn for (K,) turned coordinates.

    The published rotation is not changed; see `streamer.models.people_weight`.
    """
    return space.drawn(turned) if kind == "orthogonal" else space.embedding(turned)


class Product:
    """Encoder, rotation and generator as the pipeline uses them.

    Args:
        threads: Threads of one call of a network.
        generator: Manifest of the generator to measure.
        encoder: Manifest of E_id.

    Attributes:
        manifest: That of the generator.
        has_reader: Whether the generator has a reader of its own.
        space: Where identities have coordinates.
    """

    def __init__(
        self,
        *,
        threads: int = 2,
        generator: Path = WEIGHTS_FOLDER / "generator.json",
        encoder: Path = WEIGHTS_FOLDER / "encoder.json",
    ) -> None:
        described = load_manifest(encoder)
        self._embedder = FaceEmbedder(
            load_engine(described, provider="cpu", threads=threads),
            mean=described.mean,
            std=described.std,
        )
        self.manifest = load_manifest(generator)
        self.generator = FaceGenerator(load_engine(self.manifest, provider="cpu", threads=threads))
        drawn_by = self.manifest.extra.get("made_from_sha256", self.manifest.sha256)
        config = AppConfig.model_validate({"identity": {"generator": str(generator)}})
        self._config, self._threads = config, threads
        self._reader = open_reader(config, drawn_by=bytes.fromhex(drawn_by))
        self.has_reader = self._reader is not None
        self.space: IdentitySpace = load_identity_space(
            self.manifest.extra, generator.parent, people_weight=people_weight(config)
        )
        self._rotators: dict[tuple[bytes, int, str], Rotator] = {}

    @property
    def recall_space(self) -> RecallSpace | None:
        """Where what recovery reads has coordinates; None: the generator has no reader."""
        if self._reader is None:
            return None
        return RecallSpace(self.space, self._reader.gain(self.space.dim))

    def embed(self, crops: UInt8Array) -> Float32Array:
        """(N, 160, 160, 3) uint8 RGB to (N, 512)."""
        return self._embedder.embed(np.ascontiguousarray(crops[:, ARCFACE, ARCFACE]))

    def looks(self, crops: UInt8Array) -> Float32Array:
        """How sure the detector is of each face, (N, 160, 160, 3) uint8 RGB to (N,)."""
        return self._face_looks.of(crops)

    @cached_property
    def _face_looks(self) -> FaceLooks:
        """Not every benchmark asks for it."""
        return FaceLooks(load_models(self._config, threads=self._threads).detector)

    def read(self, crops: UInt8Array) -> Float32Array:
        """Wanted identities out of new faces, (N, 160, 160, 3) uint8 RGB to (N, 512).

        By the reader of the generator; by E_id where it has none.
        """
        reader = self._reader.embedder if self._reader else self._embedder
        return reader.embed(np.ascontiguousarray(crops[:, ARCFACE, ARCFACE]))

    def likeliest(self, identities: Float32Array) -> Float32Array:
        """Identities that were read and turned back, corrected as recovery does; (N, 512)."""
        prior = self._reader.prior if self._reader else None
        if prior is None:
            return identities
        found = [prior.likeliest(self.space.coordinates(z)) for z in identities]
        return np.stack([self.space.embedding(c) for c in found])

    def turn(
        self,
        identities: Float32Array,
        key: bytes,
        level: int,
        *,
        back: bool = False,
        kind: RotationKind = "orthogonal",
        people_like: bool = True,
    ) -> Float32Array:
        """Identities under a key and level, or back again; (N, 512).

        ``people_like``: as they are drawn where the log holds more than transforms.
        """
        rotator = self._rotator(key, level, kind)
        move = rotator.unrotate if back else rotator.rotate
        turned = [move(self.space.coordinates(z)) for z in identities]
        if people_like and not back:
            return np.stack([drawn_identity(self.space, c, kind) for c in turned])
        return np.stack([self.space.embedding(c) for c in turned])

    def make(self, crops: UInt8Array, identities: Float32Array) -> UInt8Array:
        """The crops with the new faces pasted in, as they go into the frame."""
        return redrawn(self.generator, crops, identities)

    def _rotator(self, key: bytes, level: int, kind: RotationKind) -> Rotator:
        found = self._rotators.get((key, level, kind))
        if found is None:
            angle = angle_for_level(level)
            found = make_rotator(kind, scope_key=key, angle_deg=angle, dim=self.space.dim)
            self._rotators[key, level, kind] = found
        return found
