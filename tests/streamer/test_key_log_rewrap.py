from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from engines.errors import KeyLogError, KeyLogTamperedError, WrongPasswordError
from streamer.key_log import KeyLogReader, KeyLogWriter, Recipient, inspect_outer
from streamer.key_log_crypto import FileKeys
from streamer.key_log_recipients import password_stanza, recipient_stanza, threshold_stanzas
from streamer.key_log_rewrap import add_stanzas, remove_recipients
from tests.key_log_forge import (
    CHEAP,
    PASSWORD,
    identity,
    make_header,
    make_track,
    sample_records,
    write_log,
)

COUNT = len(sample_records()) + 1


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return write_log(tmp_path / "a.keylog", sample_records())


def count(path: Path, password: bytes | None = None, *numbers: int) -> int:
    with KeyLogReader.open(path, password, identities=[identity(n) for n in numbers]) as reader:
        return len(list(reader.records()))


def add(path: Path, number: int, label: str) -> None:
    recipient = Recipient(label, identity(number).public)
    add_stanzas(path, lambda keys: [recipient_stanza(keys, recipient)], password=PASSWORD)


def test_added_recipient_opens_the_same_chunks(log: Path) -> None:
    before = log.read_bytes()
    add(log, 1, "court")
    assert count(log, None, 1) == count(log, PASSWORD) == COUNT
    report = inspect_outer(log)
    assert report.access.generation == 1
    assert report.damage == ()
    chunks = before[before.index(b"VSC1") :]
    assert log.read_bytes().endswith(chunks)
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    assert os.listdir(log.parent) == [log.name]


def test_password_can_be_changed(log: Path) -> None:
    def fresh(keys: FileKeys) -> list[object]:
        return [password_stanza(keys, b"another passphrase", CHEAP, label="new")]

    add_stanzas(log, fresh, password=PASSWORD)  # type: ignore[arg-type]  # a list of stanzas
    remove_recipients(log, "password", password=b"another passphrase")
    assert count(log, b"another passphrase") == COUNT
    with pytest.raises(WrongPasswordError):
        count(log, PASSWORD)


def test_removed_recipient_is_locked_out_but_an_old_header_is_named(log: Path) -> None:
    add(log, 1, "court")
    old = log.read_bytes()
    remove_recipients(log, "court", password=PASSWORD)
    with pytest.raises(WrongPasswordError):
        count(log, None, 1)
    log.write_bytes(old)
    with pytest.raises(KeyLogTamperedError, match="generation"):
        KeyLogReader.open(log, identities=[identity(1)], min_generation=2)


def test_threshold_can_be_added(log: Path) -> None:
    judges = [Recipient(f"judge {n}", identity(n).public) for n in (1, 2, 3)]
    add_stanzas(log, lambda keys: threshold_stanzas(keys, judges, threshold=2), password=PASSWORD)
    assert count(log, None, 1, 3) == COUNT
    with pytest.raises(WrongPasswordError):
        count(log, None, 2)


def test_refusals_leave_the_log_as_it_is(log: Path) -> None:
    before = log.read_bytes()
    with pytest.raises(KeyLogError, match="last recipient"):
        remove_recipients(log, "password", password=PASSWORD)
    with pytest.raises(KeyLogError, match="there are: password"):
        remove_recipients(log, "nobody", password=PASSWORD)
    with pytest.raises(WrongPasswordError):
        remove_recipients(log, "password", password=b"wrong")
    recipient = Recipient("x" * 300, identity(1).public)
    with pytest.raises(KeyLogError, match="limit"):
        add_stanzas(log, lambda keys: [recipient_stanza(keys, recipient)], password=PASSWORD)
    many = [Recipient("m", identity(1).public)] * 64
    with pytest.raises(KeyLogError, match="number of recipients"):
        add_stanzas(log, lambda k: [recipient_stanza(k, r) for r in many], password=PASSWORD)
    assert log.read_bytes() == before
    assert os.listdir(log.parent) == [log.name]


def test_growing_log_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.keylog"
    with KeyLogWriter.create(path, header=make_header(), password=PASSWORD) as writer:
        writer.append(make_track())
        with pytest.raises(KeyLogError, match="in use"):
            add(path, 1, "court")
    add(path, 1, "court")
    assert count(path, None, 1) == 2
