from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from engines.errors import AnonymizerError, KeyLogError, KeyLogFormatError
from streamer.key_log import KeyLogReader, KeyLogWriter
from streamer.key_log_erase import erase_expired, erase_key_log
from tests.key_log_forge import PASSWORD, make_header, sample_records, write_log


def test_erased_log_is_gone_and_its_blocks_are_useless(tmp_path: Path) -> None:
    path = write_log(tmp_path / "a.keylog", sample_records())
    before = path.read_bytes()
    os.link(path, tmp_path / "blocks")  # the same blocks, as an undeleted file would show them
    receipt = erase_key_log(path, now=lambda: 5.0)
    assert not path.exists()
    after = (tmp_path / "blocks").read_bytes()
    assert len(after) == len(before)
    with KeyLogReader.open(write_log(tmp_path / "b", sample_records()), PASSWORD) as reader:
        wrapped = reader.access.stanzas[0].wrapped
    assert wrapped in before
    assert wrapped not in after
    with pytest.raises(AnonymizerError):
        KeyLogReader.open(tmp_path / "blocks", PASSWORD)
    facts = json.loads(receipt.to_json())
    assert (facts["tracks"], facts["erased_unix_s"], facts["reason"]) == (2, 5, "asked for")
    assert "backups" in facts["covers"]


def test_only_expired_logs_are_erased(tmp_path: Path) -> None:
    for name, expires in (("old", 1_000_000), ("new", 9_000_000), ("kept", 0)):
        write_log(tmp_path / name, [], header=make_header(expires_unix_us=expires))
    (tmp_path / "other").write_text("not a key log")
    (tmp_path / "link").symlink_to(tmp_path / "old")
    receipts = erase_expired(tmp_path, now=lambda: 5.0)
    assert [(Path(r.path).name, r.reason) for r in receipts] == [("old", "expired")]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["kept", "link", "new", "other"]


def test_refuses_other_files_and_growing_logs(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("not a key log")
    with pytest.raises(KeyLogFormatError):
        erase_key_log(other)
    assert other.read_text() == "not a key log"
    path = tmp_path / "a.keylog"
    with (
        KeyLogWriter.create(path, header=make_header(), password=PASSWORD),
        pytest.raises(KeyLogError, match="in use"),
    ):
        erase_key_log(path)
    KeyLogReader.open(path, PASSWORD).close()
