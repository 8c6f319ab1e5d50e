from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pytest

from engines.errors import (
    AnonymizerError,
    KeyLogExpiredError,
    KeyLogFormatError,
    KeyLogTamperedError,
    KeyLogTruncatedError,
    WrongPasswordError,
)
from streamer.key_log import KeyLogReader, Record, inspect_outer
from streamer.key_log_crypto import X25519Identity
from tests.independent_key_log_reader import links_of, read_key_log
from tests.key_log_vectors import Vector, describe, parse_vector

FOLDER = Path(__file__).resolve().parents[1] / "vectors" / "key_log"
PATHS = sorted(FOLDER.glob("*.txt"))
ERRORS: dict[str, type[AnonymizerError]] = {
    "format": KeyLogFormatError,
    "truncated": KeyLogTruncatedError,
    "tampered": KeyLogTamperedError,
    "wrong-password": WrongPasswordError,
    "expired": KeyLogExpiredError,
}


def outcome(expect: str) -> AbstractContextManager[object]:
    return nullcontext() if expect == "success" else pytest.raises(ERRORS[expect])


@pytest.fixture(params=PATHS, ids=lambda path: path.stem)
def vector(request: pytest.FixtureRequest) -> Vector:
    return parse_vector(request.param)


@pytest.fixture
def log(vector: Vector, tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "a.keylog"
    path.write_bytes(vector.body)
    yield path
    assert path.read_bytes() == vector.body  # reading never writes
    os.remove(path)


def test_reader_gives_what_the_vector_states(vector: Vector, log: Path) -> None:
    identities = [X25519Identity(secret) for secret in vector.secrets]
    found: list[Record] = []
    with (
        outcome(vector.expect),
        KeyLogReader.open(
            log, vector.password, identities=identities, now=lambda: vector.now_us / 1e6
        ) as reader,
    ):
        for record in reader.records():
            found.append(record)
    assert [describe(record) for record in found] == list(vector.records)


def test_independent_reader_agrees(vector: Vector) -> None:
    result = read_key_log(vector.body, vector.password, vector.secrets, vector.now_us)
    assert result == (vector.expect, list(vector.records))


def test_outside_shows_what_the_vector_states(vector: Vector, log: Path) -> None:
    if vector.outer in ("format", "truncated") and vector.expect == vector.outer:
        try:
            report = inspect_outer(log)
        except ERRORS[vector.outer]:
            return
        assert vector.outer == "truncated"
        assert not report.is_complete
        assert report.damage == ()
        return
    report = inspect_outer(log)
    assert bool(report.damage) == (vector.outer == "damaged"), report.damage
    assert report.is_complete or vector.outer == "damaged"


def test_a_log_names_the_log_that_it_continues() -> None:
    first, second = (parse_vector(FOLDER / f"ok-continued-{n}.txt").body for n in (1, 2))
    assert links_of(first)[0] == bytes(32)
    assert links_of(second)[0] == links_of(first)[1]


def test_vectors_cover_more_failures_than_successes() -> None:
    expected = [parse_vector(path).expect for path in PATHS]
    assert set(expected) == {"success", *ERRORS}
    assert expected.count("success") < len(expected) / 2
