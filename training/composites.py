"""Composites of the people of the training set: spherical k-means over their identities."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.generator_data import FaceBank, Floats

__all__ = [
    "COMPOSITES_FILE",
    "LEAST_AGE",
    "bank_composites",
    "composites_of",
    "load_composites",
    "save_composites",
]

COMPOSITES_FILE: Final = "identity_composites.npy"
_CELLS: Final = 2500
_ROUNDS: Final = 20
_FEWEST_PEOPLE: Final = 4
LEAST_AGE: Final = 14.0
_CHUNK: Final = 4096


def bank_composites(bank: FaceBank, basis: Floats) -> Floats:
    """Composites of a training set in the coordinates of a basis (K, 512), (M, K) unit rows."""
    inside = np.asarray(bank.identities) @ basis.T
    inside /= np.linalg.norm(inside, axis=1, keepdims=True)
    return composites_of(inside, np.array([rows[0] for rows in bank.people]), bank.ages)


def composites_of(
    coordinates: Floats,
    people: NDArray[np.int64],
    ages: Floats,
    *,
    cells: int = _CELLS,
    fewest_people: int = _FEWEST_PEOPLE,
    seed: int = 0,
) -> Floats:
    """Means of cells of people who look alike.

    What ships must not be anybody's identity, so cells with few people are left out; and so are
    those of children, whose faces look odd on adults.

    Args:
        coordinates: (N, K) unit rows.
        people: (N,) who is on each picture.
        ages: (N,) in years, NaN where nobody knows.
        cells: How many are looked for.
        fewest_people: A cell with fewer different people is left out.
        seed: Of the first centres.

    Returns:
        (M, K) unit rows.
    """
    rng = np.random.default_rng(seed)
    cells = min(cells, len(coordinates))
    centres = coordinates[rng.choice(len(coordinates), cells, replace=False)]
    cell = np.zeros(len(coordinates), np.int64)
    for _ in range(_ROUNDS):
        for i in range(0, len(coordinates), _CHUNK):
            cell[i : i + _CHUNK] = (coordinates[i : i + _CHUNK] @ centres.T).argmax(1)
        means = _means(coordinates, cell, cells)
        is_empty = np.bincount(cell, minlength=cells) == 0
        lost = rng.choice(len(coordinates), int(is_empty.sum()), replace=False)
        centres = means.copy()
        centres[is_empty] = coordinates[lost]
    who = np.unique(np.stack([cell, people]), axis=1)[0]
    has_people = np.bincount(who, minlength=cells) >= fewest_people
    return means[has_people & ~_of_children(cell, ages, cells)]


def _of_children(cell: NDArray[np.int64], ages: Floats, cells: int) -> NDArray[np.bool_]:
    is_known = np.isfinite(ages)
    known = np.bincount(cell[is_known], minlength=cells)
    years = np.bincount(cell[is_known], weights=ages[is_known], minlength=cells)
    return np.asarray((known > 0) & (years < LEAST_AGE * known))


def _means(coordinates: Floats, cell: NDArray[np.int64], cells: int) -> Floats:
    sums = np.zeros((cells, coordinates.shape[1]), np.float64)
    np.add.at(sums, cell, coordinates)
    length = np.linalg.norm(sums, axis=1, keepdims=True)
    return (sums / np.maximum(length, 1e-12)).astype(np.float32)


def save_composites(path: Path, composites: Floats) -> None:
    """Write (M, K) rows as float16, as they ship."""
    np.save(path, composites.astype(np.float16))


def load_composites(path: Path) -> Floats:
    """What `save_composites` wrote, as float32."""
    return np.asarray(np.load(path, allow_pickle=False), np.float32)
