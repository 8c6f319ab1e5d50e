from __future__ import annotations

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import KeyLogError, KeyLogTamperedError
from streamer.audit_log import AuditEntry, _parse, append_audit, verify_audit
from tests.key_log_forge import flip, secret

DEVICE = Ed25519PrivateKey.from_private_bytes(secret(9))
PUBLIC = DEVICE.public_key().public_bytes_raw()


def add(path: Path, reason: str = "case 12", **details: str) -> AuditEntry:
    return append_audit(
        path, who="inspector", action="recover", reason=reason, details=details, signer=DEVICE,
        now=lambda: 1_790_000_000.5,
    )  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> Path:
    for number in range(3):
        add(tmp_path / "audit.jsonl", tracks=str(number), mode="sealed ä")
    return tmp_path / "audit.jsonl"


def test_entries_come_back_in_order(log: Path) -> None:
    entries = verify_audit(log, device=PUBLIC)
    assert [entry.number for entry in entries] == [0, 1, 2]
    assert entries[1].details == {"tracks": "1", "mode": "sealed ä"}
    assert (entries[0].who, entries[0].unix_s, entries[0].is_signed) == (
        "inspector", 1_790_000_000, True,
    )  # fmt: skip
    assert stat.S_IMODE(log.stat().st_mode) == 0o600


def test_every_changed_byte_is_found(log: Path) -> None:
    data = log.read_bytes()
    for at in range(0, len(data), 3):
        log.write_bytes(flip(data, at))
        with pytest.raises(KeyLogTamperedError):
            verify_audit(log, device=PUBLIC)


def test_removed_and_swapped_entries_are_found(log: Path) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    for picked in (lines[1:], [lines[0], lines[2]], [lines[1], lines[0], lines[2]], lines[:1] * 2):
        log.write_bytes(b"".join(picked))
        with pytest.raises(KeyLogTamperedError):
            verify_audit(log)
        with pytest.raises(KeyLogTamperedError):
            add(log)


def test_a_cut_is_found_with_the_last_hash(log: Path) -> None:
    last = verify_audit(log)[-1].line_hash
    assert len(verify_audit(log, last_hash=last)) == 3
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(lines[:2]))
    assert len(verify_audit(log)) == 2
    with pytest.raises(KeyLogTamperedError, match="cut"):
        verify_audit(log, last_hash=last)
    log.write_bytes(b"".join(lines)[:-1])
    with pytest.raises(KeyLogTamperedError, match="cut"):
        verify_audit(log)


def test_another_device_is_refused(log: Path) -> None:
    other = Ed25519PrivateKey.from_private_bytes(secret(8)).public_key().public_bytes_raw()
    with pytest.raises(KeyLogTamperedError):
        verify_audit(log, device=other)
    append_audit(log, who="x", action="recover", reason="y", details={})
    assert not verify_audit(log)[-1].is_signed
    with pytest.raises(KeyLogTamperedError):
        verify_audit(log, device=PUBLIC)


def test_needs_a_reason_and_a_name(tmp_path: Path) -> None:
    with pytest.raises(KeyLogError, match="reason"):
        add(tmp_path / "a", reason="  ")
    assert not (tmp_path / "a").exists()
    with pytest.raises(KeyLogError, match="cannot write"):
        add(tmp_path / "none" / "a")
    with pytest.raises(KeyLogError, match="cannot read"):
        verify_audit(tmp_path / "a")
    with pytest.raises(KeyLogError, match="64 KiB"):
        add(tmp_path / "a", reason="x" * 70_000)


@given(st.one_of(st.binary(max_size=80), st.text(max_size=60).map(str.encode)))
def test_other_files_are_one_error(data: bytes) -> None:
    try:
        entries = _parse(data, Path("a"), None)
    except KeyLogTamperedError:
        return
    assert not entries
