"""QuarterTurn: a keyed map that turns every vector by 90 degrees.

docs/rotation-format.md states it to the byte.
"""

from __future__ import annotations

import numpy as np

from engines.arrays import Float64Array
from streamer.keys import key_stream
from streamer.rotator_reference import gaussians_from_stream

__all__ = ["QuarterTurn"]


class QuarterTurn:
    """J = Q B Q^T, skew-symmetric and orthogonal. Immutable, so safe to share between threads.

    Making one takes about 15 ms of CPU time for 512 values, a turn 1 ms.

    Args:
        key: 32 bytes; Q is drawn from its stream.
        dim: length of the vectors, even and positive.

    Raises:
        ValueError: the dimension is odd or zero.
    """

    def __init__(self, key: bytes, dim: int) -> None:
        if dim < 2 or dim % 2:
            raise ValueError(f"the dimension must be even and positive, not {dim}")
        self._mirrors, self._signs = _draw_orthogonal(key, dim)

    def __repr__(self) -> str:
        return f"QuarterTurn(dim={len(self._signs)})"

    def turn(self, vector: Float64Array) -> Float64Array:
        """J z of z, (D,) float64; as long as z and orthogonal to it."""
        turned = vector.copy()
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


def _draw_orthogonal(key: bytes, dim: int) -> tuple[tuple[Float64Array, ...], Float64Array]:
    """Q of docs/rotation-format.md, uniform over all orthogonal matrices (Stewart 1980).

    Q is kept as what it is made of, D - 1 reflections and D signs. Factorising a matrix would give
    the same, but LAPACK's threads took seconds for it on a loaded machine (docs/decisions/0009).
    """
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
