"""The link between the supervisor and the process of a camera: JSON, one message on each line."""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any, Final, Literal, TypeAlias

from streamer.camera_snapshot import CameraSnapshot

__all__ = ["Command", "decode", "encode_command", "encode_preview", "encode_status", "read_reply"]

Command: TypeAlias = Literal["preview", "stop"]
_MOST_BYTES: Final = 4 << 20


def encode_command(command: Command) -> bytes:
    """From the supervisor: make a preview, or stop."""
    return _line({"t": command})


def encode_status(snapshot: CameraSnapshot) -> bytes:
    """From the camera, once a second."""
    return _line({"t": "status", "snapshot": snapshot.to_dict()})


def encode_preview(jpeg: bytes) -> bytes:
    """From the camera, when it was asked for."""
    return _line({"t": "preview", "jpeg": base64.b64encode(jpeg).decode("ascii")})


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message, allow_nan=False).encode() + b"\n"


def decode(line: bytes) -> dict[str, Any]:
    """A message; an empty one for a line that is none, since a broken line must not end a link."""
    try:
        message = json.loads(line) if len(line) <= _MOST_BYTES else None
    except ValueError:
        return {}
    return message if isinstance(message, dict) else {}


def read_reply(line: bytes) -> CameraSnapshot | bytes | None:
    """What a camera says: its state, a JPEG picture, or None for anything else."""
    message = decode(line)
    try:
        if message.get("t") == "status":
            return CameraSnapshot.from_dict(message["snapshot"])
        if message.get("t") == "preview":
            return base64.b64decode(message["jpeg"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        return None
    return None
