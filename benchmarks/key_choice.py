"""The product's choice of a key for each face (`streamer.disguise`), for many faces at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.arrays import Float32Array
from streamer.config import CoverConfig
from streamer.disguise import MARGIN, KeyTry, best_key

__all__ = ["Tried", "choose_attempts"]

Tried: TypeAlias = tuple[Float32Array, Float32Array]


def choose_attempts(
    count: int, tried: Callable[[NDArray[np.int64], int], Tried], *, is_compared: bool
) -> NDArray[np.int64]:
    """The number of the key that each face gets, by the product's defaults; (count,).

    Args:
        count: faces.
        tried: rows (K,) and the number of a key to (K,) cosines between the person and the new face
            by that key, and between the person and what recovery from the password brings back.
        is_compared: whether recovery counts, as it does in files where there is a reader.
    """
    cover = CoverConfig()
    enough = cover.most_alike - MARGIN
    compared = cover.recall_attempts if is_compared else 1
    tries: list[list[KeyTry]] = [[] for _ in range(count)]
    rows = np.arange(count)
    for attempt in range(max(cover.key_attempts, compared)):
        if attempt >= compared:
            is_hidden = [any(t.likeness < enough for t in tries[row]) for row in rows]
            rows = rows[~np.array(is_hidden, bool)]
        if not len(rows):
            break
        for row, likeness, recall in zip(rows, *tried(rows, attempt), strict=True):
            tries[row].append(KeyTry(float(likeness), float(recall)))
    found = [best_key(one, enough=enough, compared=compared) for one in tries]
    return np.array(found, np.int64)
