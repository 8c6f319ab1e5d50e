"""The benchmarks' choice of keys is the product's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from benchmarks.key_choice import choose_attempts
from engines.arrays import Float32Array
from streamer.config import CoverConfig
from streamer.disguise import MARGIN, first_hiding

LIKENESS = np.array(
    [
        [0.05, 0.9, 0.9, 0.9],  # good at once
        [0.2, 0.1, 0.0, 0.0],  # the second is good enough
        [0.4, 0.3, 0.2, 0.25],  # none is: the least of all
        [0.5, 0.6, 0.7, 0.14],
    ],
    np.float32,
)


def test_the_first_good_key_or_the_best_is_taken() -> None:
    asked: list[int] = []

    def likeness(rows: NDArray[np.int64], attempt: int) -> Float32Array:
        asked.extend(rows.tolist())
        return np.asarray(LIKENESS[rows, attempt], np.float32)

    assert choose_attempts(4, likeness).tolist() == [0, 1, 2, 3]
    assert sorted(asked) == [0] + [1] * 2 + [2] * 4 + [3] * 4


def test_it_is_the_rule_of_the_product() -> None:
    cover = CoverConfig()
    table = np.random.default_rng(3).uniform(-0.2, 0.6, (500, cover.key_attempts))

    def likeness(rows: NDArray[np.int64], attempt: int) -> Float32Array:
        return np.asarray(table[rows, attempt], np.float32)

    enough = cover.most_alike - MARGIN
    wanted = [first_hiding(row.tolist(), enough=enough) for row in table.astype(np.float32)]
    assert len(set(wanted)) == cover.key_attempts
    assert choose_attempts(len(table), likeness).tolist() == wanted
