"""A log whose retention time is over is refused everywhere that its keys would be used."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import KeyLogError, KeyLogExpiredError, KeyLogTruncatedError
from run_stream import main
from streamer.key_log import KeyLogReader, inspect_outer
from streamer.key_log_grant import GrantReader
from streamer.key_log_grant_format import TrackSpan
from streamer.key_log_grant_writer import grant_body, write_grant
from streamer.key_log_open import read_header
from streamer.key_log_rewrap import remove_recipients
from tests.key_log_forge import PASSWORD, identity, make_header, sample_records, write_log

ENDS_S = 1_700_000_000.0


@pytest.fixture
def log(tmp_path: Path) -> Path:
    header = make_header(expires_unix_us=int(ENDS_S * 1e6))
    return write_log(tmp_path / "a.vskl", sample_records(), header=header)


def test_opens_until_the_last_moment(log: Path) -> None:
    KeyLogReader.open(log, PASSWORD, now=lambda: ENDS_S - 0.001).close()
    with pytest.raises(KeyLogExpiredError, match="2023-11-14 22:13 UTC"):
        KeyLogReader.open(log, PASSWORD, now=lambda: ENDS_S)


def test_even_a_wrong_password_learns_nothing_from_an_expired_log(log: Path) -> None:
    with pytest.raises(KeyLogExpiredError):
        KeyLogReader.open(log, b"wrong")


def test_grants_of_it_do_not_open_either(log: Path, tmp_path: Path) -> None:
    with KeyLogReader.open(log, PASSWORD, now=lambda: 0.0) as reader:
        body = grant_body(
            reader, [TrackSpan(0, 0, 10**6)], granted_by="a", reason="b", created_unix_us=0,
            with_identity=False,
        )  # fmt: skip
        write_grant(tmp_path / "g", body, core_hash=reader.core_hash, recipient=identity(1).public)
    GrantReader.open(tmp_path / "g", log, identity(1), now=lambda: 0.0).close()
    with pytest.raises(KeyLogExpiredError):
        GrantReader.open(tmp_path / "g", log, identity(1))


def test_its_recipients_do_not_change_but_its_outside_can_be_seen(log: Path) -> None:
    with pytest.raises(KeyLogExpiredError):
        remove_recipients(log, "password", password=PASSWORD)
    assert inspect_outer(log).is_complete


def test_the_command_line_says_so_in_one_line(
    log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    password = tmp_path / "p"
    password.write_bytes(PASSWORD)
    password.chmod(0o600)
    assert main(["inspect", str(log)]) == 0
    assert "2023-11-14T22:13:20+00:00" in capsys.readouterr().out
    assert main(["inspect", str(log), "--password-file", str(password)]) == 6
    error = capsys.readouterr().err
    assert "expired on 2023-11-14" in error
    assert error.count("\n") == 1


def test_header_alone_can_be_read(log: Path, tmp_path: Path) -> None:
    assert read_header(log).header.expires_unix_us == int(ENDS_S * 1e6)
    with pytest.raises(KeyLogError, match="cannot read"):
        read_header(tmp_path / "none")
    log.write_bytes(log.read_bytes()[:30])
    with pytest.raises(KeyLogTruncatedError):
        read_header(log)
