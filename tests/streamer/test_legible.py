"""Moving what is drawn against what the reader gets wrong."""

from __future__ import annotations

import numpy as np
import pytest

from engines.arrays import Float32Array
from streamer.legible import Redrawn, legible_identities

DIM = 24


def _unit(values: Float32Array) -> Float32Array:
    return np.asarray(values / np.linalg.norm(values), np.float32)


def _person(seed: int) -> Float32Array:
    return _unit(np.random.default_rng(seed).normal(size=DIM).astype(np.float32))


class Reader:
    """Reads strong coordinates well and weak ones hardly, and errs the same way each time."""

    def __init__(self) -> None:
        self.gain = np.repeat([0.9, 0.2], DIM // 2)
        self._bend = np.random.default_rng(4).normal(size=(DIM, DIM)).astype(np.float32) * 0.1
        self.asked = 0

    def __call__(self, drawn: Float32Array) -> Float32Array:
        self.asked += 1
        assert np.linalg.norm(drawn) == pytest.approx(1.0, abs=1e-5)
        return _unit(np.asarray(self.gain * drawn + np.tanh(self._bend @ drawn), np.float32))


def _drawn(
    person: Float32Array, reader: Reader, *, steps: int, may_be: bool = True
) -> Float32Array:
    def redraw(tried: Float32Array) -> Redrawn:
        back = reader(tried[0])
        return back[None], np.array([back @ person if may_be else -np.inf])

    first = reader(person)[None], np.array([reader(person) @ person])
    found: Float32Array = legible_identities(person[None], first, reader.gain, redraw, steps=steps)[
        0
    ]
    return found


def test_the_person_is_found_again_more_surely() -> None:
    gained = []
    for seed in range(20):
        reader, person = Reader(), _person(seed)
        drawn = _drawn(person, reader, steps=12)
        assert reader.asked == 14
        assert np.linalg.norm(drawn) == pytest.approx(1.0, abs=1e-5)
        gained.append(float((reader(drawn) - reader(person)) @ person))
    assert min(gained) >= 0.0
    assert np.mean(gained) > 0.04


def test_people_do_not_disturb_each_other() -> None:
    reader, both = Reader(), np.stack([_person(1), _person(2)])

    def redraw(tried: Float32Array) -> Redrawn:
        back = np.stack([reader(row) for row in tried])
        return back, (back * both).sum(1)

    found = legible_identities(both, redraw(both), reader.gain, redraw, steps=6)
    for row in range(2):
        alone = _drawn(both[row], reader, steps=6)
        np.testing.assert_allclose(found[row], alone, atol=1e-5)


def test_faces_that_must_not_be_are_not_taken() -> None:
    person = _person(1)
    np.testing.assert_array_equal(_drawn(person, Reader(), steps=5, may_be=False), person)


def test_a_reader_that_errs_not_at_all_changes_nothing() -> None:
    person = _person(2)[None]
    first = person, np.ones(1)
    drawn = legible_identities(
        person, first, np.ones(DIM), lambda z: (z, (z * person).sum(1)), steps=5
    )
    np.testing.assert_allclose(drawn, person, atol=1e-6)


def test_faces_that_are_worth_less_are_not_taken() -> None:
    reader, person = Reader(), _person(3)

    def redraw(tried: Float32Array) -> Redrawn:
        back = reader(tried[0])
        return back[None], np.array([back @ person - 1.0])

    first = reader(person)[None], np.array([reader(person) @ person])
    drawn = legible_identities(person[None], first, reader.gain, redraw, steps=5)
    np.testing.assert_array_equal(drawn[0], person)
