from __future__ import annotations

import logging
from pathlib import Path

import pytest

from engines.errors import ConfigError, KeyLogError
from streamer.audit_log import verify_audit
from streamer.audit_operator import Auditor, default_audit_log, operator_key, operator_name
from streamer.recipient_keys import generate_device, parse_device_public


def test_the_account_is_named_by_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOGNAME", "somebody else")
    monkeypatch.setenv("USER", "somebody else")
    assert operator_name("R. Owner") == "R. Owner"
    assert operator_name(None).startswith("account ")
    assert "somebody else" not in operator_name(None)


def test_the_accounts_key_is_made_once_and_said(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "home" / ".config" / "audit.key"
    with caplog.at_level(logging.WARNING):
        first = operator_key(None, path)
        second = operator_key(None, path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0
    assert first.public_key() == second.public_key()
    assert len(caplog.records) == 1
    assert "vsver1:" in caplog.text
    assert "vsdev1:" not in caplog.text


def test_a_given_key_wins_and_a_folder_that_cannot_be_made_is_one_error(tmp_path: Path) -> None:
    public = generate_device(tmp_path / "device")
    auditor = Auditor(
        tmp_path / "a", who="x", reason="y", signer=operator_key(tmp_path / "device", tmp_path)
    )
    assert auditor.signer_text == public
    auditor.note("recover", {"a": "b"})
    verify_audit(tmp_path / "a", device=parse_device_public(public))
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match="--device-key"):
        operator_key(None, tmp_path / "file" / "no" / "audit.key")


def test_no_reason_no_note(tmp_path: Path) -> None:
    generate_device(tmp_path / "device")
    signer = operator_key(tmp_path / "device", tmp_path)
    with pytest.raises(KeyLogError, match="--reason"):
        Auditor(tmp_path / "a", who="x", reason=" ", signer=signer).note("recover", {})


def test_remembers_the_newest_change_of_recipients(tmp_path: Path) -> None:
    generate_device(tmp_path / "device")
    signer = operator_key(tmp_path / "device", tmp_path)
    auditor = Auditor(default_audit_log(tmp_path / "a.vskl"), who="x", reason="y", signer=signer)
    assert auditor.path.name == "a.vskl.audit.jsonl"
    assert auditor.latest_generations() == {}
    for log, generation in (("aa", "1"), ("bb", "7"), ("aa", "3"), ("aa", "x"), ("aa", "2")):
        auditor.note("recipients", {"key log": log, "generation": generation})
    auditor.note("recover", {"key log": "aa", "generation": "9"})
    assert auditor.latest_generations() == {"aa": 3, "bb": 7}
