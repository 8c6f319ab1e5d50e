from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import ConfigError
from streamer.recipient_keys import public_text
from streamer.recipient_list import read_recipients, recipients_of
from tests.key_log_forge import identity

A, B = (public_text(identity(number).public) for number in (1, 2))


def test_reads_names_and_comments(tmp_path: Path) -> None:
    path = tmp_path / "people"
    path.write_text(f"# who\n\n{A}  the court  # since May\n{B}\n", encoding="utf-8")
    found = read_recipients(path)
    assert [(r.label, r.public) for r in found] == [
        ("the court", identity(1).public),
        ("recipient 2", identity(2).public),
    ]
    both = recipients_of((A,), path)
    assert [r.label for r in both] == ["recipient 1", "the court", "recipient 3"]
    assert recipients_of((), None) == ()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "names nobody"),
        (b"# nobody\n", "names nobody"),
        (b"vspub1:abc\n", "line 1"),
        (b"\n\nhello\n", "line 3"),
        (b"\xff\xfe\n", "line 1"),
        (b"#" * 70000, "65536 bytes"),
    ],
)
def test_mistakes_are_one_error(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "people"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=message):
        read_recipients(path)


def test_a_secret_key_in_the_list_is_not_repeated(tmp_path: Path) -> None:
    path = tmp_path / "people"
    path.write_text("vssec1:AAAABBBBCCCC\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_recipients(path)
    assert "AAAABBBB" not in str(caught.value)


def test_missing_file_and_too_many(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        read_recipients(tmp_path / "none")
    with pytest.raises(ConfigError, match="more than the 32"):
        recipients_of((A,) * 33, None)
