"""The smallest RTMP server that plays: for tests of RTMP cameras, on the loopback interface.

It answers in the order in which FFmpeg asks (connect, createStream, play) without reading what the
requests say, and then sends the tags of an FLV file as messages, at their own times.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["rtmp_server"]

_HANDSHAKE = 1536


def _message(kind: int, body: bytes, *, stream: int = 0, time_ms: int = 0) -> bytes:
    """One message in one chunk; the chunk size is set large enough at the start."""
    head = struct.pack(">B", 3) + time_ms.to_bytes(3, "big") + len(body).to_bytes(3, "big")
    return head + bytes([kind]) + struct.pack("<I", stream) + body


def _text(value: str) -> bytes:
    return b"\x02" + struct.pack(">H", len(value)) + value.encode()


def _number(value: float) -> bytes:
    return b"\x00" + struct.pack(">d", value)


def _object(**values: str) -> bytes:
    fields = (struct.pack(">H", len(k)) + k.encode() + _text(v) for k, v in values.items())
    return b"\x03" + b"".join(fields) + b"\x00\x00\x09"


def _tags(flv: bytes) -> Iterator[tuple[int, int, bytes]]:
    """Kind, time in milliseconds and body of each tag."""
    at = 13
    while at + 11 <= len(flv):
        size = int.from_bytes(flv[at + 1 : at + 4], "big")
        time_ms = int.from_bytes(flv[at + 7 : at + 8] + flv[at + 4 : at + 7], "big")
        yield flv[at], time_ms, flv[at + 11 : at + 11 + size]
        at += 15 + size


def _read_some(connection: socket.socket) -> None:
    """Whatever the client says next; what it means follows from when it says it."""
    connection.recv(65536)
    time.sleep(0.05)


def _play(connection: socket.socket, flv: bytes) -> None:
    client = b""
    while len(client) < 1 + _HANDSHAKE:
        client += connection.recv(4096)
    connection.sendall(b"\x03" + bytes(_HANDSHAKE) + client[1 : 1 + _HANDSHAKE])
    ok = _object(level="status", code="NetConnection.Connect.Success", description="hello")
    answers = (
        _message(1, struct.pack(">I", 1 << 20))
        + _message(20, _text("_result") + _number(1) + b"\x05" + ok),
        _message(20, _text("_result") + _number(2) + b"\x05" + _number(1)),
        _message(
            20,
            _text("onStatus") + _number(0) + b"\x05"
            + _object(level="status", code="NetStream.Play.Start", description="here it comes"),
            stream=1,
        ),
    )  # fmt: skip
    for answer in answers:
        _read_some(connection)
        connection.sendall(answer)
    start_s = time.monotonic()
    for kind, time_ms, body in _tags(flv):
        time.sleep(max(0.0, start_s + time_ms / 1000 - time.monotonic()))
        connection.sendall(_message(kind, body, stream=1, time_ms=time_ms))


@contextmanager
def rtmp_server(flv: Path) -> Iterator[int]:
    """Play a file to whoever connects, one after the other."""
    data = flv.read_bytes()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                with connection, contextlib.suppress(OSError):
                    _play(connection, data)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
