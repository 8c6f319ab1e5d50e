"""A perfect generator on pictures of a few pixels, and a recogniser that reads them exactly."""

from __future__ import annotations

import numpy as np

from benchmarks.judges import ImageJudge
from benchmarks.judges_cache import Memo
from benchmarks.privacy_product import Anonymizer
from benchmarks.privacy_sample import Others, Sample
from engines.arrays import Float32Array, UInt8Array
from streamer.identity import IdentitySpace
from streamer.rotator import Rotator

SIDE = 4
DIM = SIDE * SIDE * 3


def read(crops: UInt8Array) -> Float32Array:
    """The identity that a picture shows."""
    values = crops.reshape(len(crops), -1).astype(np.float32) - 128
    norms = np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-6)
    return np.asarray(values / norms, np.float32)


def draw(identities: Float32Array) -> UInt8Array:
    """A picture of each identity."""
    values = np.clip(np.rint(128 + 300 * identities), 0, 255).astype(np.uint8)
    return values.reshape(len(identities), SIDE, SIDE, 3)


class PerfectAnonymizer(Anonymizer):
    """New faces show exactly the wanted identity, and nothing of the old one."""

    def __init__(self) -> None:
        self._memo = Memo(None)
        self._space = IdentitySpace(np.eye(DIM, dtype=np.float32))
        self._rotators: dict[tuple[bytes, float, str], Rotator] = {}
        self.generator_sha256 = self.encoder_sha256 = "perfect"

    def identities(self, crops: UInt8Array) -> Float32Array:
        return read(crops)

    def read(self, crops: UInt8Array) -> Float32Array:
        return read(crops)

    def likeliest(self, identities: Float32Array) -> Float32Array:
        return identities

    def assisted(
        self, seen: UInt8Array, identities: Float32Array, originals: UInt8Array
    ) -> UInt8Array:
        assert seen.shape == originals.shape
        return draw(identities)

    def _made(self, crops: UInt8Array, wanted: Float32Array) -> UInt8Array:
        return draw(wanted)


class LeakyAnonymizer(PerfectAnonymizer):
    """A third of the old face shows through."""

    def _made(self, crops: UInt8Array, wanted: Float32Array) -> UInt8Array:
        return draw(np.asarray(0.67 * wanted + 0.33 * read(crops), np.float32))


def people(count: int, per_person: int, seed: int) -> tuple[UInt8Array, np.ndarray]:
    """Pictures of made-up people: (N, 4, 4, 3) uint8 and whose they are."""
    rng = np.random.default_rng(seed)
    who = rng.normal(size=(count, DIM))
    owners = np.repeat(np.arange(count), per_person)
    views = who[owners] + 0.3 * rng.normal(size=(len(owners), DIM))
    views /= np.linalg.norm(views, axis=1, keepdims=True)
    return draw(views.astype(np.float32)), owners


def make_sample(count: int = 20, per_person: int = 2, seed: int = 0) -> Sample:
    crops, owners = people(count, per_person + 1, seed)
    # One of everybody, then another of everybody, as `draw_sample` orders them.
    turns = np.arange(len(owners)).reshape(count, per_person + 1).T
    probes = turns[1:].ravel()
    return Sample(seed, crops[probes], owners[probes], crops[turns[0]], owners[probes])


def make_others(count: int = 150) -> Others:
    return Others(*people(count, 1, 99))


def exact_judge() -> ImageJudge:
    return ImageJudge("exact", read, {"FAR 1e-3": 0.9, "FAR 1e-4": 0.8})
