from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

from streamer.tcp_relay import TcpRelay

pytestmark = pytest.mark.network


@contextmanager
def _server(*, answers: bool) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))
    held: list[socket.socket] = []

    def serve() -> None:
        with suppress(OSError):  # it is closed while it waits
            connection, _ = listener.accept()
            held.append(connection)
            while answers and (data := connection.recv(1000)):
                connection.sendall(data.upper())

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        for connection in held:
            connection.close()


def test_bytes_go_both_ways() -> None:
    with _server(answers=True) as port:
        relay = TcpRelay("127.0.0.1", port, timeout_s=5)
        with socket.create_connection(("127.0.0.1", relay.port)) as near:
            near.sendall(b"hello")
            assert near.recv(100) == b"HELLO"
        relay.close()


def test_a_silent_server_ends_the_connection() -> None:
    with _server(answers=False) as port:
        relay = TcpRelay("127.0.0.1", port, timeout_s=0.3)
        start_s = time.monotonic()
        with socket.create_connection(("127.0.0.1", relay.port)) as near:
            near.sendall(b"hello")
            assert near.recv(100) == b""
        assert time.monotonic() - start_s < 5
        relay.close()


def test_nobody_there_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(OSError, match="refused"):
        TcpRelay("127.0.0.1", port, timeout_s=1)
