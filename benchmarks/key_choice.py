"""The product's choice of a key for each face (`streamer.disguise`), for many faces at once."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from engines.arrays import Float32Array
from streamer.config import CoverConfig
from streamer.disguise import MARGIN

__all__ = ["choose_attempts"]


def choose_attempts(
    count: int, likeness: Callable[[NDArray[np.int64], int], Float32Array]
) -> NDArray[np.int64]:
    """The number of the key that each face gets, by the product's defaults; (count,).

    Args:
        count: faces.
        likeness: rows (K,) and the number of a key to (K,) cosines of E_id between the person and
            the new face by that key.
    """
    cover = CoverConfig()
    enough = cover.most_alike - MARGIN
    chosen = np.zeros(count, np.int64)
    likest = np.full(count, np.inf)
    rows = np.arange(count)
    for attempt in range(cover.key_attempts):
        if not len(rows):
            break
        found = likeness(rows, attempt)
        is_better = found < likest[rows]
        chosen[rows[is_better]] = attempt
        likest[rows[is_better]] = found[is_better]
        rows = rows[found >= enough]
    return chosen
