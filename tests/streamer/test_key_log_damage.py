from __future__ import annotations

import io
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engines.errors import AnonymizerError, KeyLogTruncatedError
from streamer.key_log import KeyLogReader, Recipient, Record, inspect_outer
from streamer.key_log_envelope import parse_envelope, unlock
from tests.key_log_forge import flip, identity, sample_records, write_log
from tests.key_log_vectors import describe

OWNER = identity(1)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("log") / "a.keylog"
    guests = (Recipient("owner", OWNER.public),)
    return write_log(path, sample_records(), password=None, recipients=guests).read_bytes()


def open_bytes(data: bytes) -> KeyLogReader:
    """The reader without the file system, for tests that open thousands of logs."""
    envelope = parse_envelope(data)
    return KeyLogReader(io.BytesIO(data), "test", envelope, unlock(envelope, identities=[OWNER]))


def read_until_error(data: bytes) -> tuple[list[Record], AnonymizerError | None]:
    records: list[Record] = []
    try:
        for record in open_bytes(data).records():
            records.append(record)
    except AnonymizerError as exc:
        return records, exc
    return records, None


def test_every_cut_gives_the_whole_chunks_before_it(log: bytes) -> None:
    reader = open_bytes(log)
    ends = [ref.end for ref in reader.chunks]
    lengths = [len(reader.read_chunk(ref)) for ref in reader.chunks]
    every = [describe(record) for record in reader.records()]
    for size in range(len(log)):
        records, error = read_until_error(log[:size])
        whole = sum(n for n, end in zip(lengths, ends, strict=True) if end <= size)
        assert isinstance(error, KeyLogTruncatedError), size
        assert [describe(record) for record in records] == every[:whole], size


def test_every_flipped_byte_costs_at_most_its_chunk(log: bytes) -> None:
    reader = open_bytes(log)
    start = reader.chunks[0].offset
    chunks = [(ref.offset, ref.end, len(reader.read_chunk(ref))) for ref in reader.chunks]
    total = sum(count for _, _, count in chunks)
    for at in range(len(log)):
        data = flip(log, at, 1 << at % 8)
        if at < start:
            with pytest.raises(AnonymizerError):
                open_bytes(data)
            continue
        _, error = read_until_error(data)
        assert error is not None, at
        damaged = open_bytes(data)
        kept = len(list(damaged.records(salvage=True)))
        lost = next(count for begin, end, count in chunks if begin <= at < end)
        assert total - lost <= kept <= total, at
        assert damaged.damage or not damaged.is_complete, at


def test_outside_sees_every_flipped_byte(log: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.keylog"
    for at in range(0, len(log), 7):
        path.write_bytes(flip(log, at, 1 << at % 8))
        try:
            report = inspect_outer(path)
        except AnonymizerError:
            continue
        assert report.damage or not report.is_complete, at


def test_zeros_after_a_power_failure_are_named(log: bytes) -> None:
    reader = open_bytes(log)
    cut = reader.chunks[2].end + 30
    records, error = read_until_error(log[:cut] + bytes(4096))
    assert error is not None
    assert len(records) == sum(len(reader.read_chunk(ref)) for ref in reader.chunks[:3])


@pytest.mark.parametrize("size", [0x00FFFFFF, 0x00010000, 60])
def test_markers_everywhere_take_linear_time(log: bytes, size: int) -> None:
    start = open_bytes(log).chunks[0].offset
    prefix = log[start : start + 41]
    hostile = log[:start] + (prefix[:4] + size.to_bytes(4, "little") + prefix[8:]) * 20_000
    began = time.process_time()
    _, error = read_until_error(hostile)
    assert error is not None
    assert time.process_time() - began < 3


@settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(data=st.data())
def test_mutated_logs_give_only_documented_errors(log: bytes, data: st.DataObject) -> None:
    mutant = bytearray(log)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(mutant)))
        size = data.draw(st.integers(0, 40))
        mutant[at : at + size] = data.draw(st.binary(max_size=40))
    try:
        reader = open_bytes(bytes(mutant))
    except AnonymizerError:
        return
    list(reader.records(salvage=True))
    read_until_error(bytes(mutant))
