"""Composites of many people, and identities that are moved towards them.

A keyed rotation keeps how identities are spread, not which of them people have: most of what it
gives lies where nobody is, and a generator that is asked for it paints patches. Half way towards
the composites that it is nearest to, it asks for a face that people could have
(docs/decisions/0082).
"""

from __future__ import annotations

from typing import Final

import numpy as np

from engines.arrays import Float32Array, Float64Array, require_array

__all__ = ["IdentityComposites"]

_NEAREST: Final = 4
_SHARPNESS: Final = 20.0


class IdentityComposites:
    """Means of the identities of people who look alike. Immutable, so safe to share.

    Args:
        composites: (M, K) float32 unit coordinates, M at least 1.
    """

    def __init__(self, composites: Float32Array) -> None:
        require_array("composites", composites, (None, None), np.float32)
        if not len(composites):
            raise ValueError("there must be at least one composite")
        self._composites = composites

    @property
    def dim(self) -> int:
        """Number of coordinates K."""
        return int(self._composites.shape[1])

    def towards(self, coordinates: Float32Array, weight: float | Float32Array) -> Float32Array:
        """Identities plus ``weight`` times the mean of the composites nearest to each.

        The mean is weighted by likeness, so that an identity which moves a little does not jump.

        Args:
            coordinates: (N, K) float32 unit coordinates.
            weight: 0 leaves them as they are; one number, or (N,).

        Returns:
            (N, K) float32 unit coordinates.
        """
        require_array("coordinates", coordinates, (None, self.dim), np.float32)
        likeness = coordinates @ self._composites.T
        count = min(_NEAREST, likeness.shape[1])
        nearest = np.argpartition(-likeness, count - 1, axis=1)[:, :count]
        near = np.take_along_axis(likeness, nearest, axis=1).astype(np.float64)
        shares = np.exp(_SHARPNESS * (near - near.max(1, keepdims=True)))
        mean = _unit((shares[:, :, None] * self._composites[nearest]).sum(1))
        pull = np.broadcast_to(np.asarray(weight, np.float64), len(coordinates))
        return _unit(coordinates + pull[:, None] * mean).astype(np.float32)


def _unit(rows: Float64Array) -> Float64Array:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12))
