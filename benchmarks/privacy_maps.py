"""What an informed attacker learns: maps from anonymised to original embeddings."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.judges import unit_rows
from engines.arrays import Float32Array, Float64Array

__all__ = ["LEARNERS", "Learner", "fit_network", "fit_ridge"]

_PENALTIES: Final = (0.01, 0.1, 1.0, 10.0, 100.0)
_FOLDS: Final = 4
_HIDDEN: Final = 1024

# (N, D) anonymised to (N, D) unit rows in the space of the originals.
Map = Callable[[Float32Array], Float32Array]
Learner = Callable[[Float32Array, Float32Array, np.ndarray], Map]


@dataclass(frozen=True, slots=True, eq=False)
class _Linear:
    """y = (x - mean) @ weights + offset."""

    mean: Float64Array
    weights: Float64Array
    offset: Float64Array

    def __call__(self, x: Float64Array) -> Float64Array:
        return np.asarray((x - self.mean) @ self.weights + self.offset, np.float64)


def fit_ridge(seen: Float32Array, wanted: Float32Array, people: np.ndarray) -> Map:
    """A linear map by ridge regression; the penalty is the one that serves unseen people best.

    Args:
        seen: (N, D) embeddings of anonymised faces.
        wanted: (N, E) unit embeddings of the originals.
        people: (N,) whose they are; the folds keep people apart.
    """
    x, y = seen.astype(np.float64), wanted.astype(np.float64)
    fitted = _solve(x, y, _best_penalty(x, y, people))
    return lambda values: unit_rows(fitted(values.astype(np.float64)).astype(np.float32))


def fit_network(seen: Float32Array, wanted: Float32Array, people: np.ndarray) -> Map:
    """A network of one hidden layer whose first weights are random and whose last are fitted."""
    rng = np.random.default_rng(0)
    first = rng.normal(0, 1.5, (seen.shape[1], _HIDDEN))
    bias = rng.normal(0, 0.5, _HIDDEN)

    def hidden(values: Float32Array) -> Float64Array:
        x = unit_rows(values).astype(np.float64)
        return np.asarray(np.hstack([np.maximum(x @ first + bias, 0), x]), np.float64)

    x, y = hidden(seen), wanted.astype(np.float64)
    fitted = _solve(x, y, _best_penalty(x, y, people))
    return lambda values: unit_rows(fitted(hidden(values)).astype(np.float32))


def _solve(x: Float64Array, y: Float64Array, penalty: float) -> _Linear:
    mean, offset = x.mean(0), y.mean(0)
    centred, wanted = x - mean, y - offset
    scale = penalty * float((centred**2).sum()) / max(1, x.shape[0] * x.shape[1]) * x.shape[0]
    if x.shape[0] < x.shape[1]:
        # Fewer examples than dimensions: the dual problem is the smaller one, its answer the same.
        gram = centred @ centred.T
        inner = np.linalg.solve(gram + scale * np.eye(len(gram)), wanted)
        return _Linear(mean, centred.T @ inner, offset)
    gram = centred.T @ centred
    inner = np.linalg.solve(gram + scale * np.eye(len(gram)), centred.T @ wanted)
    return _Linear(mean, inner, offset)


def _best_penalty(x: Float64Array, y: Float64Array, people: np.ndarray) -> float:
    _, owner = np.unique(people, return_inverse=True)
    fold = owner % _FOLDS
    scores = []
    for penalty in _PENALTIES:
        total = 0.0
        for held in range(_FOLDS):
            test = fold == held
            if not test.any() or test.all():
                continue
            guess = unit_rows(_solve(x[~test], y[~test], penalty)(x[test]).astype(np.float32))
            total += float((guess * unit_rows(y[test].astype(np.float32))).sum())
        scores.append(total)
    return _PENALTIES[int(np.argmax(scores))]


LEARNERS: Final[dict[str, Learner]] = {"ridge": fit_ridge, "network": fit_network}
