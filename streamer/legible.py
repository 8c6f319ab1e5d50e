"""Drawing a new face so that recovery by the password reads in it what it was made for.

The reader errs in the same way each time it sees a face, and whoever draws the face knows what it
should read. So the identity that is drawn is moved against the error, step by step, as long as that
helps (docs/decisions/0075).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.arrays import AnyArray, Float32Array, Float64Array

__all__ = ["Redrawn", "legible_identities"]

Floats: TypeAlias = NDArray[np.floating[Any]]
_FIRST_LENGTH: Final = 0.7
_SHORTER: Final = 0.6

Redrawn: TypeAlias = tuple[Float32Array, Floats]


def legible_identities(
    originals: Float32Array,
    first: Redrawn,
    gain: Float64Array,
    redraw: Callable[[Float32Array], Redrawn],
    *,
    steps: int,
) -> Float32Array:
    """The identities to turn and draw in place of people's, so that recovery finds the people.

    Args:
        originals: (N, K) unit coordinates of the people.
        first: (N, K) unit coordinates that recovery finds when these are turned and drawn, and
            (N,) what such faces are worth; minus infinity: they must not be.
        gain: (K,) how much of each coordinate is read: a step of a coordinate that is hardly read
            helps little.
        redraw: the same for other unit coordinates (N, K).
        steps: how often it may be asked.

    Returns:
        (N, K) unit coordinates; those of the people themselves where nothing else is better.
    """
    best, back = originals.copy(), first[0].copy()
    worth = np.array(first[1], np.float64)
    lengths = np.full((len(originals), 1), _FIRST_LENGTH)
    for _ in range(steps):
        miss = originals - (originals * back).sum(1, keepdims=True) * back
        step = gain * miss
        step *= _norms(miss) / np.maximum(_norms(step), 1e-12)
        tried = best + lengths * step
        tried = (tried / _norms(tried)).astype(np.float32)
        found, reached = redraw(tried)
        is_better = reached > worth
        best[is_better], back[is_better] = tried[is_better], found[is_better]
        worth[is_better] = reached[is_better]
        lengths[~is_better] *= _SHORTER
    return best


def _norms(rows: AnyArray) -> Float64Array:
    return np.asarray(np.linalg.norm(rows, axis=1, keepdims=True), np.float64)
