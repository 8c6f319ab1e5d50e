from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import ConfigError
from streamer.passwords import (
    normalise_password,
    password_warning,
    prompt_password,
    read_password_file,
)


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"secret", b"secret"),
        (b"secret\n", b"secret"),
        (b"secret\r\n", b"secret"),
        (b"secret\n\n", b"secret\n"),
        (b" secret \n", b" secret "),
        ("e\u0301".encode(), "é".encode()),
        (b"\xff\xfe", b"\xff\xfe"),
    ],
)
def test_reads_a_file(tmp_path: Path, content: bytes, password: bytes) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    path.chmod(0o600)
    assert read_password_file(path) == password


@pytest.mark.parametrize("content", [b"", b"\n", b"\r\n", b"x" * 5000])
def test_refuses_a_file_without_a_password(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "password"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        read_password_file(path)
    assert "xxx" not in str(caught.value)


def test_missing_file_is_one_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_password_file(tmp_path / "none")
    with pytest.raises(ConfigError, match="directory"):
        read_password_file(tmp_path)


@pytest.mark.parametrize(("mode", "warns"), [(0o600, False), (0o640, True), (0o604, True)])
def test_warns_if_others_may_read(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, mode: int, warns: bool
) -> None:
    path = tmp_path / "password"
    path.write_bytes(b"topmost secret")
    path.chmod(mode)
    with caplog.at_level(logging.WARNING):
        read_password_file(path)
    assert ("readable by others" in caplog.text) == warns
    assert "topmost" not in caplog.text


def answers(*lines: str) -> Callable[[str], str]:
    remaining = iter(lines)
    return lambda _prompt: next(remaining)


def test_prompt() -> None:
    def ask(*lines: str, confirm: bool = True) -> bytes:
        return prompt_password(confirm=confirm, ask=answers(*lines), is_terminal=lambda: True)

    assert ask("one", "one") == b"one"
    assert ask("one", confirm=False) == b"one"
    with pytest.raises(ConfigError, match="differ"):
        ask("one", "two")
    with pytest.raises(ConfigError, match="empty"):
        ask("")


def test_prompt_needs_a_terminal() -> None:
    with pytest.raises(ConfigError, match="--password-file"):
        prompt_password(confirm=False, ask=answers("x"), is_terminal=lambda: False)


def test_prompt_without_an_answer() -> None:
    def ask(_prompt: str) -> str:
        raise EOFError

    with pytest.raises(ConfigError, match="no password"):
        prompt_password(confirm=False, ask=ask, is_terminal=lambda: True)


@pytest.mark.parametrize("password", [b"123456", b"000000", b"1", b"hunter2", "größe".encode()])
def test_warns_of_short_passwords_without_repeating_them(password: bytes) -> None:
    text = password_warning(password)
    assert text is not None
    assert password.decode() not in text or password == b"1"


def test_accepts_a_passphrase_silently() -> None:
    assert password_warning(b"six random words make a passphrase") is None


@given(st.binary(min_size=1, max_size=40))
def test_normalising_twice_changes_nothing(raw: bytes) -> None:
    once = normalise_password(raw)
    assert normalise_password(once) == once
