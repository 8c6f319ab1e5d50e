"""The published rotation (Cao et al. 2021, eq. 13 to 17), as a selectable mode.

    z_new = z cos t + (f - (z.f) z) sin t        eq. 13 and 14
    z     = (z_new - f sin t) / (cos t - A sin t)    eq. 16, where A = z.f

f is a unit vector chosen by the password: the mean of 10 of 1,000 public reference identities.

The inverse is exact only for the z_new of eq. 13, whose length is n = sqrt(1 - A^2 sin^2 t) and
not 1 (eq. 14 does not scale z_90). A network reads back unit vectors, so n is lost. We therefore
keep it: `rotated_norm` is stored, encrypted, with the track. Without it, `unrotate` solves for A
and takes the root of least |A|: people are nearly orthogonal to a random f, so that is the likely
one, but near 90 degrees the roots lie close together and the choice can be wrong (at 85 and 95
degrees about 2 % of random identities come back as -z: those with A beyond cot t). At 90 degrees
no inverse exists: refused.
"""

from __future__ import annotations

import struct
from typing import Final

import numpy as np

from engines.arrays import Float32Array, Float64Array, require_array
from streamer.keys import derive_key, key_stream

__all__ = [
    "REFERENCE_COUNT",
    "REFERENCE_PICKS",
    "ReferenceRotator",
    "gaussians_from_stream",
    "unit64",
]

REFERENCE_COUNT: Final = 1000
REFERENCE_PICKS: Final = 10
_GALLERY_LABEL: Final = b"veilstream-rotation/1 reference gallery"
_PICK_LABEL: Final = b"veilstream-rotation/1 reference pick"
# Closer than this to 90 degrees eq. 16 divides by next to nothing.
_MIN_COSINE: Final = 1e-3


class ReferenceRotator:
    """Reference mode. Immutable, so safe to share between threads.

    Args:
        scope_key: 32 bytes from `MasterKey.scope_key`.
        angle_deg: over 0, below 180, and not 90.
        dim: length of an embedding.
    """

    def __init__(self, *, scope_key: bytes, angle_deg: float, dim: int = 512) -> None:
        self._dim = dim
        self._cos = float(np.cos(np.radians(angle_deg)))
        self._sin = float(np.sin(np.radians(angle_deg)))
        if abs(self._cos) < _MIN_COSINE:
            raise ValueError("the reference rotation has no inverse at 90 degrees")
        self._f = _reference_identity(scope_key, dim)

    def __repr__(self) -> str:
        return f"ReferenceRotator(dim={self._dim})"

    def rotate(self, z: Float32Array) -> Float32Array:
        """(D,) float32 embedding to the (D,) float32 new one, scaled to length 1."""
        new = self._rotate_raw(z)
        return (new / np.linalg.norm(new)).astype(np.float32)

    def rotated_norm(self, z: Float32Array) -> float:
        """Length of z_new of eq. 13, which the exact inverse needs."""
        return float(np.linalg.norm(self._rotate_raw(z)))

    def unrotate(self, z: Float32Array, *, norm: float | None = None) -> Float32Array:
        """Eq. 16 and 17 on a unit vector and the length that was kept (or solved for).

        Args:
            z: (D,) float32, the embedding of the new face.
            norm: what `rotated_norm` gave; None solves for it.

        Returns:
            (D,) float32, unit.
        """
        require_array("z", z, (self._dim,), np.float32)
        unit = unit64(z)
        new = unit * (self._solve_norm(float(unit @ self._f)) if norm is None else norm)
        rest = new - self._f * self._sin
        along = (self._cos**2 - float(rest @ new)) / (self._sin * self._cos)  # eq. 17: A
        scale = self._cos - along * self._sin
        # A scale of zero is a point that no z maps to; any direction is as wrong, so keep `rest`.
        old = rest / scale if abs(scale) > 1e-9 else rest
        return unit64(old).astype(np.float32)

    def _rotate_raw(self, z: Float32Array) -> Float64Array:
        require_array("z", z, (self._dim,), np.float32)
        unit = unit64(z)
        z_90 = self._f - float(unit @ self._f) * unit
        return unit * self._cos + z_90 * self._sin

    def _solve_norm(self, cosine: float) -> float:
        """The n for which n u can be a z_new, given u.f; the root with the least |A|.

        u.f = (A cos t + (1 - A^2) sin t) / n and n^2 = 1 - A^2 sin^2 t give a quartic in A.
        """
        c, s, b = self._cos, self._sin, cosine
        line = np.array([-s, c, s])  # A^2, A, 1
        roots = np.roots(np.polysub(np.polymul(line, line), [-((b * s) ** 2), 0.0, b * b]))
        real = roots.real[np.abs(roots.imag) < 1e-6]
        good = [
            float(a)
            for a in real
            # Squaring added the roots of the other sign of u.f.
            if abs(a) <= 1.0 and (np.polyval(line, a) >= 0.0) == (b >= 0.0)
        ]
        along = min(good, key=abs, default=0.0)
        return float(np.sqrt(max(1.0 - (along * s) ** 2, 1e-12)))


def gaussians_from_stream(stream: bytes) -> Float64Array:
    """Box-Muller on a key stream, as docs/rotation-format.md states.

    Args:
        stream: a multiple of 16 bytes; 8 bytes make one value.

    Returns:
        (len(stream) / 8,) float64, standard normal.
    """
    words = np.frombuffer(stream, dtype="<u8")
    uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
    radius = np.sqrt(-2.0 * np.log(uniform[0::2]))
    turn = 2.0 * np.pi * uniform[1::2]
    values = np.empty(len(words), np.float64)
    values[0::2] = radius * np.cos(turn)
    values[1::2] = radius * np.sin(turn)
    return values


def _reference_identity(scope_key: bytes, dim: int) -> Float64Array:
    """f(p): unit mean of the references that the key picks; (D,) float64."""
    public = derive_key(bytes(32), salt=b"", info=_GALLERY_LABEL + struct.pack("<H", dim))
    padded = REFERENCE_COUNT * dim
    gallery = gaussians_from_stream(key_stream(public, 8 * padded)).reshape(-1, dim)
    key = derive_key(scope_key, salt=b"", info=_PICK_LABEL + struct.pack("<H", dim))
    picked = gallery[_pick(key)]
    picked /= np.linalg.norm(picked, axis=1, keepdims=True)
    return unit64(picked.sum(axis=0))


def _pick(key: bytes) -> list[int]:
    """Distinct indices below REFERENCE_COUNT, ascending, by rejection from the key stream."""
    limit = (1 << 32) - (1 << 32) % REFERENCE_COUNT
    picked: set[int] = set()
    # 1,024 words are enough for 10 distinct picks but for a chance far below 2**-128.
    for word in np.frombuffer(key_stream(key, 4096), dtype="<u4"):
        if int(word) < limit and len(picked) < REFERENCE_PICKS:
            picked.add(int(word) % REFERENCE_COUNT)
    return sorted(picked)


def unit64(values: Float32Array | Float64Array) -> Float64Array:
    """A vector scaled to length 1; (D,) float64.

    Raises:
        ValueError: it is zero or not finite.
    """
    wide = values.astype(np.float64)
    length = float(np.linalg.norm(wide))
    if not 0.0 < length < np.inf:
        raise ValueError("an embedding must be finite and not zero")
    return wide / length
