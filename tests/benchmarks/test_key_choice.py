"""The benchmarks' choice of keys is the product's."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.key_choice import Tried, choose_attempts
from streamer.config import CoverConfig
from streamer.disguise import MARGIN, KeyTry, best_key

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

    def tried(rows: NDArray[np.int64], attempt: int) -> Tried:
        asked.extend(rows.tolist())
        likeness = np.asarray(LIKENESS[rows, attempt], np.float32)
        return likeness, np.zeros_like(likeness)

    assert choose_attempts(4, tried, is_compared=False).tolist() == [0, 1, 2, 3]
    assert sorted(asked) == [0] + [1] * 2 + [2] * 4 + [3] * 4


@pytest.mark.parametrize("is_compared", [False, True])
def test_it_is_the_rule_of_the_product(is_compared: bool) -> None:
    cover = CoverConfig()
    total = max(cover.key_attempts, cover.recall_attempts)
    rng = np.random.default_rng(3)
    likeness = rng.uniform(-0.2, 0.6, (500, total)).astype(np.float32)
    recall = rng.uniform(0.2, 0.8, (500, total)).astype(np.float32)

    def tried(rows: NDArray[np.int64], attempt: int) -> Tried:
        return likeness[rows, attempt], recall[rows, attempt]

    compared = cover.recall_attempts if is_compared else 1
    count = max(cover.key_attempts, compared)
    wanted = [
        best_key(
            [KeyTry(float(a), float(b)) for a, b in zip(one[:count], two[:count], strict=True)],
            enough=cover.most_alike - MARGIN,
            compared=compared,
        )
        for one, two in zip(likeness, recall, strict=True)
    ]
    assert len(set(wanted)) == count
    assert choose_attempts(500, tried, is_compared=is_compared).tolist() == wanted
