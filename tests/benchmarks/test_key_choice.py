"""The benchmarks draw faces as the product does."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from benchmarks.key_choice import Looked, RecallSpace, choose_drawings
from engines.arrays import Float32Array
from streamer.config import CoverConfig
from streamer.disguise import MARGIN
from streamer.identity import IdentitySpace
from streamer.key_choice import KeyTry, best_key

DIM = 24
LIKENESS = np.array(
    [
        [0.05, 0.9, 0.9, 0.9],  # good at once
        [0.2, 0.1, 0.0, 0.0],  # the second is good enough
        [0.4, 0.3, 0.2, 0.25],  # none is: the least of all
        [0.5, 0.6, 0.7, 0.14],
    ],
    np.float32,
)


def _people(count: int) -> Float32Array:
    rows = np.random.default_rng(1).normal(size=(count, DIM))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def _seen(people: Float32Array, likeness: Float32Array) -> Float32Array:
    """Faces that are as alike the people as wanted, and nothing like each other."""
    rows = np.random.default_rng(9).normal(size=people.shape)
    across = rows - (rows * people).sum(1, keepdims=True) * people
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    cosine = likeness[:, None]
    return np.asarray(cosine * people + np.sqrt(1 - cosine**2) * across, np.float32)


def test_on_cameras_the_first_good_key_or_the_best_is_taken() -> None:
    asked: list[int] = []
    people = _people(4)

    def look(rows: NDArray[np.int64], attempts: NDArray[np.int64], drawn: Float32Array) -> Looked:
        asked.extend(rows.tolist())
        return Looked(_seen(people[rows], LIKENESS[rows, attempts]))

    found = choose_drawings(people, look, None, is_file=False)
    assert found.attempts.tolist() == [0, 1, 2, 3]
    assert sorted(asked) == [0] + [1] * 2 + [2] * 4 + [3] * 4
    np.testing.assert_array_equal(found.drawn, people)


def test_keys_are_compared_by_the_rule_of_the_product() -> None:
    cover, count = CoverConfig(recall_steps=0), 200
    total = max(cover.key_attempts, cover.recall_attempts)
    rng, people = np.random.default_rng(3), _people(count)
    noise = rng.normal(size=(count, total, DIM)).astype(np.float32) * 0.3
    looks = (0.9 + 0.05 * rng.normal(size=(count, total))).astype(np.float32)
    faces = rng.normal(size=(count, total, DIM)) + 0.5 * people[:, None]
    faces = (faces / np.linalg.norm(faces, axis=2, keepdims=True)).astype(np.float32)

    def look(rows: NDArray[np.int64], attempts: NDArray[np.int64], drawn: Float32Array) -> Looked:
        back, here = drawn + noise[rows, attempts], (rows, attempts)
        return Looked(faces[here], looks[here], back, (back * people[rows]).sum(1))

    space = IdentitySpace(np.eye(DIM, dtype=np.float32))
    recall = RecallSpace(space, np.ones(DIM))
    found = choose_drawings(people, look, recall, is_file=True)
    for row in range(count):
        person = people[row]
        tries = [
            KeyTry(float(face @ person), float((person + error) @ person), face=face)
            for error, face in zip(noise[row], faces[row], strict=True)
        ]
        wanted = best_key(tries, enough=cover.most_alike - MARGIN, compared=cover.recall_attempts)
        assert found.attempts[row] == wanted
    assert len(set(found.attempts.tolist())) == total


def test_what_is_drawn_makes_up_for_the_reader() -> None:
    people, error = _people(30), np.eye(DIM, dtype=np.float32)[3] * 0.7

    def look(rows: NDArray[np.int64], attempts: NDArray[np.int64], drawn: Float32Array) -> Looked:
        del attempts
        back = drawn + error
        back /= np.linalg.norm(back, axis=1, keepdims=True)
        alike = np.where(rows < 10, 0.9, 0.0).astype(np.float32)
        return Looked(_seen(people[rows], alike), None, back, (back * people[rows]).sum(1))

    recall = RecallSpace(IdentitySpace(np.eye(DIM, dtype=np.float32)), np.ones(DIM))
    drawn = choose_drawings(people, look, recall, is_file=True).drawn
    rows = np.arange(30)
    before, after = (look(rows, rows, d).likeness for d in (people, drawn))
    assert before is not None
    assert after is not None
    np.testing.assert_array_equal(drawn[:10], people[:10])  # no key hides them
    assert after[10:].mean() > before[10:].mean() + 0.1
    assert np.linalg.norm(drawn, axis=1) == pytest.approx(np.ones(30), abs=1e-5)


def test_in_files_whose_log_brings_people_back_looks_are_compared() -> None:
    cover, count = CoverConfig(), 50
    rng, people = np.random.default_rng(4), _people(50)
    faces = rng.normal(size=(count, cover.looks_attempts, DIM))
    faces = (faces / np.linalg.norm(faces, axis=2, keepdims=True)).astype(np.float32)
    looks = (0.9 + 0.05 * rng.normal(size=faces.shape[:2])).astype(np.float32)

    def look(rows: NDArray[np.int64], attempts: NDArray[np.int64], drawn: Float32Array) -> Looked:
        return Looked(faces[rows, attempts], looks[rows, attempts])

    found = choose_drawings(people, look, None, is_file=True)
    for row in range(count):
        pairs = zip(faces[row], looks[row], strict=True)
        tries = [KeyTry(float(f @ people[row]), face=f, looks=float(s)) for f, s in pairs]
        enough = cover.most_alike - MARGIN
        assert found.attempts[row] == best_key(tries, enough=enough, compared=len(tries))
    chosen = looks[np.arange(count), found.attempts]
    assert chosen.mean() > looks.mean() + 0.04
    np.testing.assert_array_equal(found.drawn, people)
