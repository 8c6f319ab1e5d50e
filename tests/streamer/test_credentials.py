from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import ConfigError
from streamer.credentials import read_credentials, with_credentials
from streamer.redact import redact_url

URL = "rtsp://192.0.2.1:554/a?b=c"


def test_from_the_environment_and_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "login"
    path.write_text("viewer:pa:ss\n", encoding="utf-8")
    assert read_credentials(f"file:{path}") == "viewer:pa:ss"
    assert read_credentials("env:YARD", {"YARD": "viewer:x"}) == "viewer:x"


def test_every_character_of_a_password_survives_the_url() -> None:
    url = with_credentials(URL, "env:Y", {"Y": "me@home:p/a@s#s:?"})
    assert url == "rtsp://me%40home:p%2Fa%40s%23s%3A%3F@192.0.2.1:554/a?b=c"
    assert redact_url(url) == URL


def test_nothing_changes_without_a_reference() -> None:
    assert with_credentials(URL, None) == URL


@pytest.mark.parametrize("reference", ["s3cret", "viewer:s3cret", "env:MISSING", "env:BAD"])
def test_what_is_wrong_is_told_without_the_secret(reference: str) -> None:
    with pytest.raises(ConfigError) as caught:
        with_credentials(URL, reference, {"BAD": "s3cret"})
    assert "s3cret" not in str(caught.value)


def test_two_logins_for_one_camera_are_refused() -> None:
    with pytest.raises(ConfigError, match="of its own") as caught:
        with_credentials("rtsp://a:s3cret@192.0.2.1/", "env:Y", {"Y": "b:c"})
    assert "s3cret" not in str(caught.value)
