"""The product's way with aligned crops: encoder, keyed rotation, generator; every answer kept."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from benchmarks.assisted import assisted
from benchmarks.generator_material import Product, drawn_identity
from benchmarks.judges_cache import Memo
from benchmarks.key_choice import Looked, choose_drawings
from engines.arrays import Float32Array, Float64Array, UInt8Array
from engines.manifest import WEIGHTS_FOLDER, load_manifest
from streamer.rotation_kinds import RotationKind
from streamer.rotator import Rotator, angle_for_level, make_rotator

__all__ = ["DEFAULT_POLICY", "Anonymizer", "Policy", "Scope", "angles_for", "secret_key"]

Scope = Literal["track", "recording", "camera"]
_LEVELS: Final = 10
_KEPT_ROTATORS: Final = 64


@dataclass(frozen=True, slots=True)
class Policy:
    """How identities are turned.

    Attributes:
        kind: rotation.
        angle_deg: one angle for all; None draws a privacy level for each picture, as the paper did.
        scope: which pictures share a key: none ("track"), or all.
    """

    kind: RotationKind = "orthogonal"
    angle_deg: float | None = 90.0
    scope: Scope = "track"

    @property
    def name(self) -> str:
        """For tables."""
        angle = "random levels" if self.angle_deg is None else f"{self.angle_deg:g}°"
        return f"{self.kind} {angle}, {self.scope}"


DEFAULT_POLICY: Final = Policy()


def secret_key(*parts: object) -> bytes:
    """A scope key for the benchmark: distinct for each purpose, and the same in each run."""
    return hashlib.sha256(repr(parts).encode()).digest()


def angles_for(policy: Policy, count: int, seed: int) -> Float64Array:
    """The angle of each picture in degrees; (count,).

    Where levels are drawn, each ten pictures get all ten of them: chance then decides who gets
    which, but not how many get a weak one.
    """
    if policy.angle_deg is not None:
        return np.full(count, policy.angle_deg)
    rng = np.random.default_rng([seed, 1])
    levels = np.concatenate([rng.permutation(_LEVELS) for _ in range(0, count, _LEVELS)])
    return np.array([angle_for_level(int(level)) for level in levels[:count]])


def _nth_key(key: bytes, attempt: int) -> bytes:
    return secret_key(key, attempt) if attempt else key


class Anonymizer:
    """Protects and restores aligned crops as the pipeline does.

    Args:
        memo: keeps every network's answers.
        generator: manifest of the generator.
        encoder: manifest of the encoder.
        threads: of one network call.
    """

    def __init__(
        self,
        memo: Memo,
        *,
        generator: Path = WEIGHTS_FOLDER / "generator.json",
        encoder: Path = WEIGHTS_FOLDER / "encoder.json",
        threads: int = 1,
    ) -> None:
        self._memo = memo
        self._product = Product(threads=threads, generator=generator, encoder=encoder)
        self.generator_sha256 = self._product.manifest.sha256
        self.encoder_sha256 = load_manifest(encoder).sha256
        self._space = self._product.space
        self._rotators: dict[tuple[bytes, float, str], Rotator] = {}

    @property
    def dim(self) -> int:
        """Dimensions of the space that identities are turned in."""
        return self._space.dim

    def identities(self, crops: UInt8Array) -> Float32Array:
        """E_id of (N, 160, 160, 3) uint8 RGB; (N, 512) unit rows."""
        label = f"E_id {self.encoder_sha256}"
        return np.asarray(self._memo.rows(label, self._product.embed, crops), np.float32)

    def read(self, crops: UInt8Array) -> Float32Array:
        """Wanted identities out of new faces, as recovery reads them; (N, 512) unit rows."""
        label = f"R {self.generator_sha256} {self._product.has_reader}"
        return np.asarray(self._memo.rows(label, self._product.read, crops), np.float32)

    def likeliest(self, identities: Float32Array) -> Float32Array:
        """Identities that were read and turned back, corrected as recovery does; (N, 512)."""
        return self._product.likeliest(identities)

    def turned(
        self,
        identities: Float32Array,
        keys: Sequence[bytes],
        angles_deg: Float64Array,
        *,
        kind: RotationKind = "orthogonal",
    ) -> Float32Array:
        """Each identity under its own key and angle; (N, 512)."""
        out = []
        for identity, key, angle in zip(identities, keys, angles_deg, strict=True):
            rotator = self._rotator(key, float(angle), kind)
            turned = rotator.rotate(self._space.coordinates(identity))
            out.append(drawn_identity(self._space, turned, kind))
        return np.stack(out)

    def turned_back(
        self,
        read: Float32Array,
        keys: Sequence[bytes],
        angles_deg: Float64Array,
        *,
        kind: RotationKind = "orthogonal",
        originals: Float32Array | None = None,
    ) -> Float32Array:
        """Identities read from new faces, turned back; (N, 512).

        Args:
            read: (N, 512) unit rows.
            keys: one for each.
            angles_deg: (N,).
            kind: rotation.
            originals: (N, 512) for the length that the key log keeps of each (reference rotation
                only); None where the log is not known, so that it is solved for.
        """
        out = []
        for row, (identity, key, angle) in enumerate(zip(read, keys, angles_deg, strict=True)):
            rotator = self._rotator(key, float(angle), kind)
            norm = None
            if originals is not None:
                norm = rotator.rotated_norm(self._space.coordinates(originals[row]))
            back = rotator.unrotate(self._space.coordinates(identity), norm=norm)
            out.append(self._space.embedding(back))
        return np.stack(out)

    def chosen(
        self,
        crops: UInt8Array,
        keys: Sequence[bytes],
        angles_deg: Float64Array,
        policy: Policy,
    ) -> tuple[list[bytes], Float32Array]:
        """What the product would draw: the key of each face, and what it turns (N, 512).

        Args:
            crops: (N, 160, 160, 3) uint8 RGB.
            keys: the first key of each.
            angles_deg: (N,).
            policy: rotation and scope.
        """
        identities, kind = self.identities(crops), policy.kind
        if policy.scope != "track":
            return list(keys), identities

        def look(
            rows: NDArray[np.int64], attempts: NDArray[np.int64], drawn: Float32Array
        ) -> Looked:
            these = [_nth_key(keys[row], int(n)) for row, n in zip(rows, attempts, strict=True)]
            angles = angles_deg[rows]
            made = self.protected(crops[rows], self.turned(drawn, these, angles, kind=kind))
            return Looked(self.identities(made))

        # By default key logs hold originals and identities, and nothing depends on reading; looks
        # are not compared, as on cameras and on short tracks.
        found = choose_drawings(identities, look, None, is_file=False)
        taken = [_nth_key(key, int(n)) for key, n in zip(keys, found.attempts, strict=True)]
        return taken, found.drawn

    def protected(self, crops: UInt8Array, wanted: Float32Array) -> UInt8Array:
        """The crops with new faces pasted in; (N, 160, 160, 3) uint8 RGB."""
        return self._made(crops, wanted)

    def restored(self, crops: UInt8Array, wanted: Float32Array) -> UInt8Array:
        """The crops with the faces of `wanted` brought back, (N, 512)."""
        return self._made(crops, wanted)

    def assisted(
        self, seen: UInt8Array, identities: Float32Array, originals: UInt8Array
    ) -> UInt8Array:
        """New faces as they arrive, brought back with what a log without originals holds.

        Args:
            seen: (N, 160, 160, 3) uint8 RGB.
            identities: (N, 512) of the originals.
            originals: (N, 160, 160, 3) uint8 RGB, of which the log has thumbnails.
        """

        def work(faces: UInt8Array, wanted: Float32Array, shown: UInt8Array) -> UInt8Array:
            return assisted(self._product.generator, faces, wanted, shown)

        label = f"G {self.generator_sha256}, thumbnails"
        return np.asarray(self._memo.rows(label, work, seen, identities, originals), np.uint8)

    def _made(self, crops: UInt8Array, wanted: Float32Array) -> UInt8Array:
        label = f"G {self.generator_sha256}"
        return np.asarray(self._memo.rows(label, self._product.make, crops, wanted), np.uint8)

    def _rotator(self, key: bytes, angle_deg: float, kind: RotationKind) -> Rotator:
        found = self._rotators.get((key, angle_deg, kind))
        if found is None:
            if len(self._rotators) >= _KEPT_ROTATORS:
                self._rotators.clear()
            found = make_rotator(kind, scope_key=key, angle_deg=angle_deg, dim=self._space.dim)
            self._rotators[key, angle_deg, kind] = found
        return found
