from __future__ import annotations

import json

from streamer.camera_link import (
    decode,
    encode_command,
    encode_preview,
    encode_status,
    read_reply,
)
from streamer.camera_status import CameraStatus


def test_a_state_arrives_as_it_was() -> None:
    status = CameraStatus("yard")
    status.state("reconnecting", "the connection was closed")
    status.error("something")
    snapshot = status.snapshot()
    assert read_reply(encode_status(snapshot)) == snapshot


def test_a_picture_arrives_as_it_was() -> None:
    assert read_reply(encode_preview(b"\xff\xd8jpeg\n")) == b"\xff\xd8jpeg\n"


def test_a_command_is_one_line() -> None:
    assert decode(encode_command("stop")) == {"t": "stop"}
    assert encode_command("preview").count(b"\n") == 1


def test_broken_lines_are_nothing() -> None:
    for line in (b"", b"{", b"[]", b'{"t": "status"}', b'{"t": "preview", "jpeg": "?"}', b"\xff\n"):
        assert read_reply(line) is None
    wrong = json.dumps({"t": "status", "snapshot": {"name": 5}}).encode()
    assert read_reply(wrong) is None
