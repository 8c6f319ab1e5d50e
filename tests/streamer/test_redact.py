"""Credentials never come through."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.redact import display_name, is_url, redact_secrets, redact_text, redact_url


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("rtsp://admin:pw@10.0.0.1:554/a?b=c", "rtsp://10.0.0.1:554/a?b=c"),
        ("rtsp://admin@host/a", "rtsp://host/a"),
        ("http://host/a?token=abc&size=3", "http://host/a?token=***&size=3"),
        ("http://host/a?PassWord=abc", "http://host/a?PassWord=***"),
        ("rtsp://u:p@ss/word@host/a", "rtsp://host/a"),
        ("rtsp://u:p?x@host/a", "rtsp://host/a"),
        ("http://host/a#secret", "http://host/a#..."),
        ("/home/x/a@b.mp4", "/home/x/a@b.mp4"),
    ],
)
def test_examples(url: str, shown: str) -> None:
    assert redact_url(url) == shown
    assert display_name(url) == shown


def test_urls_inside_a_text() -> None:
    text = "cannot open 'rtsp://u:pw@host/x': no route"
    assert redact_text(text) == "cannot open 'rtsp://host/x': no route"


def test_files_are_no_urls() -> None:
    assert not is_url("C:/a.mp4")
    assert not is_url("a:b.mp4")
    assert is_url("rtsps://host/a")


@given(st.text("abcXYZ0189:@/?#&=%$!", min_size=4, max_size=20))
def test_a_password_never_shows(password: str) -> None:
    shown = redact_url(f"rtsp://user:S{password}E@camera.example/stream")
    assert f"S{password}E" not in shown
    assert "user" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "password: hunter2",
        "{'password': 'hunter2', 'user': 'x'}",
        '{"api_key":"hunter2"}',
        "Authorization: Bearer hunter2",
        "authorization=Basic hunter2",
        "TOKEN=hunter2&x=1",
        "passphrase = hunter2",
        "rtsp://viewer:hunter2@192.0.2.1/x failed",
        "http://192.0.2.1/x?sessiontoken=hunter2",
    ],
)
def test_named_secrets_go(text: str) -> None:
    shown = redact_secrets(text)
    assert "hunter2" not in shown
    assert "***" in shown or "192.0.2.1" in shown


def test_ordinary_words_stay() -> None:
    text = "the password file is readable by others; 3 tokens, key log 5 MB"
    assert redact_secrets(text) == text
