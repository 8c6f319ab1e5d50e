"""TcpRelay: a connection through a local port, with the time-outs and checks that FFmpeg lacks.

FFmpeg's RTMP output waits for ever on a server that is silent, and checks no certificate by name.
Here the far side is Python's: connecting, handshake and writing are bounded, TLS is verified.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["TcpRelay"]

_PIECE_BYTES: Final = 1 << 16
_LOOK_S: Final = 0.2


class TcpRelay:
    """Takes one connection on the loopback interface and passes its bytes on.

    When the far side does not answer, or takes nothing for the time-out, both sides are closed,
    which whoever connected here sees as a lost connection.

    Args:
        host: far side.
        port: far side.
        timeout_s: longest wait for the connection, the first answer, or for a write to go through.
        tls: verifies the far side; None for a plain connection.
        now: monotonic clock in seconds.

    Raises:
        OSError: the far side cannot be reached, or its certificate is refused.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        timeout_s: float,
        tls: ssl.SSLContext | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._timeout_s, self._now = timeout_s, now
        self._far = socket.create_connection((host, port), timeout=timeout_s)
        try:
            if tls is not None:
                self._far = tls.wrap_socket(self._far, server_hostname=host)
            self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        except BaseException:
            self._far.close()
            raise
        self._listener.settimeout(timeout_s)
        self._is_closed = False
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._serve, name="tcp-relay", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close everything; a second call does nothing."""
        self._is_closed = True
        for one in (self._listener, self._far):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _serve(self) -> None:
        try:
            near, _ = self._listener.accept()
        except OSError:
            self._far.close()
            return
        # Whatever ends a connection is seen by both sides as its end.
        with near, self._far, contextlib.suppress(OSError, ValueError):
            self._pump(near)

    def _pump(self, near: socket.socket) -> None:
        start_s, has_answered = self._now(), False
        self._far.settimeout(self._timeout_s)
        near.settimeout(self._timeout_s)
        while not self._is_closed:
            if not has_answered and self._now() - start_s > self._timeout_s:
                return
            pending = isinstance(self._far, ssl.SSLSocket) and self._far.pending() > 0
            ready = [self._far] if pending else select.select([near, self._far], [], [], _LOOK_S)[0]
            for one in ready:
                data = one.recv(_PIECE_BYTES)
                if not data:
                    return
                has_answered = has_answered or one is self._far
                # Bounded: a far side that takes nothing for the time-out raises here.
                (near if one is self._far else self._far).sendall(data)
