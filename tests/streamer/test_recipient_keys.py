from __future__ import annotations

import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import ConfigError
from streamer.recipient_keys import (
    generate_device,
    generate_identity,
    parse_device_public,
    parse_public,
    public_text,
    read_device,
    read_identity,
)


def test_identity_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "key"
    public = generate_identity(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert read_identity(path).public == parse_public(public)
    with pytest.raises(ConfigError, match="exists"):
        generate_identity(path)
    with pytest.raises(ConfigError, match="vsdev1"):
        read_device(path)


def test_device_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "key"
    public = generate_device(path)
    assert read_device(path).public_key().public_bytes_raw() == parse_device_public(public)
    with pytest.raises(ConfigError, match="vspub1"):
        parse_public(public)


@given(st.binary(min_size=32, max_size=32), st.data())
def test_any_mistyped_character_is_found(key: bytes, data: st.DataObject) -> None:
    text = public_text(key)
    assert parse_public(f" {text}\n") == key
    at = data.draw(st.integers(7, len(text) - 1))
    other = data.draw(st.sampled_from("ABCabc012-_=! é"))
    changed = text[:at] + other + text[at + 1 :]
    if changed != text:
        with pytest.raises(ConfigError):
            parse_public(changed)


def test_secret_in_the_wrong_place_is_not_repeated(tmp_path: Path) -> None:
    generate_identity(tmp_path / "key", random_bytes=lambda size: b"\x41" * size)
    line = (tmp_path / "key").read_text().splitlines()[1]
    with pytest.raises(ConfigError) as caught:
        parse_public(line)
    assert line[7:20] not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"# only a comment\n", b"\xff\xfe", b"a\nb\n"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError):
        read_identity(tmp_path / "key")
    with pytest.raises(ConfigError, match="No such file"):
        read_identity(tmp_path / "none")
