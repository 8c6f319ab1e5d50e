"""IdentityRotator: the keyed orthogonal map on embeddings, its inverse, and privacy levels.

R = cos(t) I + sin(t) J with J skew-symmetric and orthogonal, so R turns every vector by exactly t
and its transpose undoes it without amplifying noise, at 90 degrees too. J comes from the key as
docs/rotation-format.md states to the byte (construction version 1).
"""

from __future__ import annotations

import struct
from typing import Final, Literal, Protocol

import numpy as np

from engines.arrays import Float32Array, Float64Array, require_array
from streamer.keys import KEY_BYTES, derive_key, key_stream
from streamer.rotator_reference import ReferenceRotator, gaussians_from_stream, unit64

__all__ = [
    "ROTATION_VERSION",
    "IdentityRotator",
    "RotationKind",
    "Rotator",
    "angle_for_level",
    "make_rotator",
    "rotation_kind",
]

ROTATION_VERSION: Final = 1
RotationKind = Literal["orthogonal", "reference"]
_LABEL: Final = b"veilstream-rotation/1 orthogonal"


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

    Making one takes about 15 ms of CPU time for 512 values, a rotation 2 ms.

    Args:
        scope_key: 32 bytes from `MasterKey.scope_key`.
        angle_deg: over 0, up to 180; 90 hides most.
        dim: length of an embedding, even.
    """

    def __init__(self, *, scope_key: bytes, angle_deg: float, dim: int = 512) -> None:
        _check(scope_key, angle_deg)
        if dim < 2 or dim % 2:
            raise ValueError(f"the dimension must be even and positive, not {dim}")
        self._dim = dim
        self._cos = float(np.cos(np.radians(angle_deg)))
        self._sin = float(np.sin(np.radians(angle_deg)))
        self._mirrors, self._signs = _draw_orthogonal(scope_key, dim)

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
        """J z = Q B Q^T z; (D,) float64."""
        turned = unit.copy()
        for start, mirror in enumerate(self._mirrors):
            tail = turned[start:]
            tail -= mirror * (mirror @ tail)
        turned *= self._signs
        pairs = np.empty_like(turned)
        pairs[0::2] = -turned[1::2]
        pairs[1::2] = turned[0::2]
        pairs *= self._signs
        for start in range(len(self._mirrors) - 1, -1, -1):
            mirror, tail = self._mirrors[start], pairs[start:]
            tail -= mirror * (mirror @ tail)
        return pairs

    def _unit64(self, z: Float32Array) -> Float64Array:
        require_array("z", z, (self._dim,), np.float32)
        return unit64(z)

    def _scaled(self, values: Float64Array) -> Float32Array:
        return unit64(values).astype(np.float32)


def rotation_kind(name: str) -> RotationKind:
    """The kind that a key log names; its header has refused all other names already."""
    return "reference" if name == "reference" else "orthogonal"


def make_rotator(
    kind: RotationKind, *, scope_key: bytes, angle_deg: float, dim: int = 512
) -> Rotator:
    """The rotator of a header's rotation kind.

    Raises:
        ValueError: unknown kind, or an angle that the kind cannot undo.
    """
    if kind == "orthogonal":
        return IdentityRotator(scope_key=scope_key, angle_deg=angle_deg, dim=dim)
    if kind == "reference":
        _check(scope_key, angle_deg)
        return ReferenceRotator(scope_key=scope_key, angle_deg=angle_deg, dim=dim)
    raise ValueError(f"unknown rotation {kind!r}; known: orthogonal, reference")


def _check(scope_key: bytes, angle_deg: float) -> None:
    if len(scope_key) != KEY_BYTES:
        raise ValueError(f"a scope key has {KEY_BYTES} bytes, not {len(scope_key)}")
    if not 0.0 < angle_deg <= 180.0:
        raise ValueError(f"the angle must be over 0 and up to 180 degrees, not {angle_deg}")


def _draw_orthogonal(scope_key: bytes, dim: int) -> tuple[tuple[Float64Array, ...], Float64Array]:
    """Q of docs/rotation-format.md, uniform over all orthogonal matrices (Stewart 1980).

    Q is kept as what it is made of, D - 1 reflections and D signs. Factorising a matrix would give
    the same, but LAPACK's threads took seconds for it on a loaded machine (docs/decisions/0009).
    """
    key = derive_key(scope_key, salt=b"", info=_LABEL + struct.pack("<H", dim))
    count = dim * (dim + 1) // 2
    values = gaussians_from_stream(key_stream(key, 16 * ((count + 1) // 2)))
    mirrors: list[Float64Array] = []
    signs = np.empty(dim, np.float64)
    at = 0
    for row in range(dim):
        mirror = values[at : at + dim - row]
        at += dim - row
        is_positive = mirror[0] >= 0.0
        if row == dim - 1:
            signs[row] = 1.0 if is_positive else -1.0
            break
        signs[row] = -1.0 if is_positive else 1.0
        mirror[0] -= signs[row] * np.sqrt(mirror @ mirror)
        mirror *= np.sqrt(2.0 / (mirror @ mirror))
        mirrors.append(mirror)
    return tuple(mirrors), signs
