"""Identities moved towards composites of people."""

from __future__ import annotations

import numpy as np
import pytest

from engines.arrays import Float32Array
from engines.identity_composites import IdentityComposites

DIM = 32


def _rows(count: int, seed: int) -> Float32Array:
    rows = np.random.default_rng(seed).normal(size=(count, DIM))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _cosines(a: Float32Array, b: Float32Array) -> Float32Array:
    return np.asarray((a * b).sum(1), np.float32)


def test_the_weight_says_how_far_and_zero_moves_nothing() -> None:
    composites, identities = IdentityComposites(_rows(50, 1)), _rows(6, 2)
    np.testing.assert_allclose(composites.towards(identities, 0.0), identities, atol=1e-6)
    near = [_cosines(composites.towards(identities, w), identities) for w in (0.3, 1.0, 3.0)]
    assert (near[0] > near[1]).all()
    assert (near[1] > near[2]).all()
    lengths = np.linalg.norm(composites.towards(identities, 1.0), axis=1)
    np.testing.assert_allclose(lengths, 1.0, atol=1e-5)


def test_each_identity_may_have_a_weight_of_its_own() -> None:
    composites, identities = IdentityComposites(_rows(50, 1)), _rows(3, 2)
    mixed = composites.towards(identities, np.array([0.0, 1.0, 2.0], np.float32))
    for row, weight in enumerate((0.0, 1.0, 2.0)):
        alone = composites.towards(identities[row : row + 1], weight)[0]
        np.testing.assert_allclose(mixed[row], alone, atol=1e-6)


def test_an_identity_comes_nearer_to_those_that_it_is_like() -> None:
    rows, identities = _rows(50, 1), _rows(6, 2)
    moved = IdentityComposites(rows).towards(identities, 1.0)
    likest = (identities @ rows.T).argmax(1)
    assert (_cosines(moved, rows[likest]) > _cosines(identities, rows[likest]) + 0.1).all()


def test_what_moves_a_little_does_not_jump() -> None:
    """Views of one person differ by such steps; where the nearest four change is a jump."""
    composites = IdentityComposites(_rows(400, 1))
    start, end = _rows(1, 2), _rows(1, 3)
    way = np.linspace(0, 1, 201)[:, None] * (end - start) + start
    way = (way / np.linalg.norm(way, axis=1, keepdims=True)).astype(np.float32)
    steps = np.linalg.norm(np.diff(composites.towards(way, 1.0), axis=0), axis=1)
    assert steps.max() < 0.25


def test_fewer_composites_than_are_averaged_are_enough() -> None:
    moved = IdentityComposites(_rows(1, 1)).towards(_rows(2, 2), 1.0)
    assert moved.shape == (2, DIM)


@pytest.mark.parametrize("rows", [np.zeros((0, DIM), np.float32), np.zeros(DIM, np.float32)])
def test_no_composites_are_refused(rows: Float32Array) -> None:
    with pytest.raises(ValueError, match="composite"):
        IdentityComposites(rows)
