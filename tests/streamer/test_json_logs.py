"""Log lines: parseable, complete, and without secrets."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from streamer.camera_status import CameraStatus
from streamer.json_logs import set_up_logging

_log = logging.getLogger("streamer.test")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root, ours = logging.getLogger(), logging.getLogger("streamer")
    handlers, levels = list(root.handlers), (root.level, ours.level)
    yield io.StringIO()
    root.handlers[:] = handlers
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


def _events(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_each_line_is_a_json_object(stream: io.StringIO) -> None:
    set_up_logging("json", stream)
    _log.warning("two\nlines of %s", "text", extra={"camera": "yard", "odd": object()})
    (event,) = _events(stream)
    assert event["message"] == "two\nlines of text"
    assert (event["level"], event["logger"]) == ("warning", "streamer.test")
    assert event["camera"] == "yard"
    assert str(event["time"]).endswith("Z")


def test_secrets_are_taken_out_everywhere(stream: io.StringIO) -> None:
    set_up_logging("json", stream)
    url = "rtsp://viewer:hunter2@192.0.2.1/x"
    try:
        raise ValueError(f"{url} password=hunter2")
    except ValueError:
        _log.exception("no answer from %s", url, extra={"url": url, "odd": [url]})
    (event,) = _events(stream)
    assert "hunter2" not in stream.getvalue()
    assert "ValueError" in str(event["traceback"])


def test_what_a_camera_does_is_logged_in_json_only(stream: io.StringIO) -> None:
    set_up_logging("text", stream)
    CameraStatus("yard").state("live")
    assert not stream.getvalue()
    set_up_logging("json", stream)
    CameraStatus("yard").state("reconnecting", "no answer")
    (event,) = _events(stream)
    assert (event["camera"], event["state"], event["level"]) == ("yard", "reconnecting", "info")


def test_text_lines_begin_with_their_level(stream: io.StringIO) -> None:
    set_up_logging("text", stream)
    _log.warning("token=hunter2")
    assert stream.getvalue() == "warning: token=***\n"


def test_setting_up_twice_does_not_double_the_lines(stream: io.StringIO) -> None:
    set_up_logging("text", stream)
    set_up_logging("text", stream)
    _log.error("once")
    assert stream.getvalue() == "error: once\n"
