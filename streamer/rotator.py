"""IdentityRotator: the keyed orthogonal map on embeddings, its inverse, and privacy levels.

R = cos(t) I + sin(t) J with J skew-symmetric and orthogonal, so R turns every vector by exactly t
and its transpose undoes it without amplifying noise, at 90 degrees too. J comes from the key as
docs/rotation-format.md states to the byte (construction versions 1 and 2).
"""

from __future__ import annotations

import struct
from typing import Final, Protocol

import numpy as np

from engines.arrays import Float32Array, Float64Array, require_array
from engines.identity_blocks import identity_blocks
from streamer.keys import KEY_BYTES, derive_key
from streamer.quarter_turn import QuarterTurn
from streamer.rotation_kinds import (
    RotationKind,
    check_rotation,
    newest_version,
    rotation_kind,
)
from streamer.rotator_reference import ReferenceRotator, unit64

__all__ = [
    "IdentityRotator",
    "Rotator",
    "angle_for_level",
    "make_rotator",
]

_LABEL_1: Final = b"veilstream-rotation/1 orthogonal"
_LABEL_2: Final = b"veilstream-rotation/2 orthogonal"


class Rotator(Protocol):
    """A keyed map from an identity to another one. Immutable, so safe to share."""

    def rotate(self, z: Float32Array) -> Float32Array:
        """(D,) unit embedding to the (D,) unit embedding that the new face gets."""
        ...

    def rotated_norm(self, z: Float32Array) -> float:
        """Length of the rotated vector before it was scaled to 1; 1 if the map keeps length."""
        ...

    def unrotate(self, z: Float32Array, *, norm: float | None = None) -> Float32Array:
        """(D,) embedding of the new face back to the (D,) unit embedding of the old one.

        `norm` is what `rotated_norm` gave; None if it was not kept.
        """
        ...


def angle_for_level(level: int) -> float:
    """Privacy level 0..9 to the angle in degrees: 70 to 85, then 95 to 120 (the paper's g).

    Raises:
        ValueError: the level is not 0..9.
    """
    if not 0 <= level <= 9:
        raise ValueError(f"the privacy level must be 0 to 9, not {level}")
    return 70.0 + 5.0 * (level if level < 4 else level + 1)


class IdentityRotator:
    """Orthogonal mode, the default. Immutable, so safe to share between threads.

    Version 2 turns each block of coordinates inside itself, so that the new identity is spread over
    strong and weak coordinates like that of a real person; version 1 turns all of them at once.

    Args:
        scope_key: 32 bytes from `MasterKey.scope_key`.
        angle_deg: over 0, up to 180; 90 hides most.
        dim: length of an embedding, even; strongest coordinates first.
        version: of the construction, 1 or 2.

    Raises:
        ValueError: unusable key, angle, dimension or version.
    """

    def __init__(
        self, *, scope_key: bytes, angle_deg: float, dim: int = 512, version: int = 2
    ) -> None:
        _check(scope_key, angle_deg)
        check_rotation("orthogonal", version)
        self._dim = dim
        self._cos = float(np.cos(np.radians(angle_deg)))
        self._sin = float(np.sin(np.radians(angle_deg)))
        self._turns = _whole(scope_key, dim) if version == 1 else _in_blocks(scope_key, dim)

    def __repr__(self) -> str:
        return f"IdentityRotator(dim={self._dim})"

    def rotate(self, z: Float32Array) -> Float32Array:
        """(D,) float32 unit embedding turned by the angle; (D,) float32."""
        unit = self._unit64(z)
        return self._scaled(self._cos * unit + self._sin * self._quarter_turn(unit))

    def rotated_norm(self, z: Float32Array) -> float:
        """Always 1: the map keeps length."""
        self._unit64(z)
        return 1.0

    def unrotate(self, z: Float32Array, *, norm: float | None = None) -> Float32Array:
        """(D,) float32 turned back; (D,) float32 unit. `norm` is not needed."""
        unit = self._unit64(z)
        return self._scaled(self._cos * unit - self._sin * self._quarter_turn(unit))

    def _quarter_turn(self, unit: Float64Array) -> Float64Array:
        """J z, block by block; (D,) float64."""
        return np.concatenate([one.turn(unit[start:end]) for start, end, one in self._turns])

    def _unit64(self, z: Float32Array) -> Float64Array:
        require_array("z", z, (self._dim,), np.float32)
        return unit64(z)

    def _scaled(self, values: Float64Array) -> Float32Array:
        return unit64(values).astype(np.float32)


def _whole(scope_key: bytes, dim: int) -> tuple[tuple[int, int, QuarterTurn], ...]:
    key = derive_key(scope_key, salt=b"", info=_LABEL_1 + struct.pack("<H", dim))
    return ((0, dim, QuarterTurn(key, dim)),)


def _in_blocks(scope_key: bytes, dim: int) -> tuple[tuple[int, int, QuarterTurn], ...]:
    turns = []
    for start, end in identity_blocks(dim):
        info = _LABEL_2 + struct.pack("<HHH", dim, start, end)
        key = derive_key(scope_key, salt=b"", info=info)
        turns.append((start, end, QuarterTurn(key, end - start)))
    return tuple(turns)


def make_rotator(
    kind: RotationKind,
    *,
    scope_key: bytes,
    angle_deg: float,
    dim: int = 512,
    version: int | None = None,
) -> Rotator:
    """The rotator of a header's rotation kind and version; the newest version if none is given.

    Raises:
        ValueError: unknown kind or version, or an angle that the kind cannot undo.
    """
    if version is None:
        version = newest_version(rotation_kind(kind))
    check_rotation(kind, version)
    if kind == "orthogonal":
        return IdentityRotator(scope_key=scope_key, angle_deg=angle_deg, dim=dim, version=version)
    _check(scope_key, angle_deg)
    return ReferenceRotator(scope_key=scope_key, angle_deg=angle_deg, dim=dim)


def _check(scope_key: bytes, angle_deg: float) -> None:
    if len(scope_key) != KEY_BYTES:
        raise ValueError(f"a scope key has {KEY_BYTES} bytes, not {len(scope_key)}")
    if not 0.0 < angle_deg <= 180.0:
        raise ValueError(f"the angle must be over 0 and up to 180 degrees, not {angle_deg}")
