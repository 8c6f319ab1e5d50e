"""WatchServer: metrics, probes and the web console over HTTP."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import ThreadingHTTPServer
from typing import Any, Final, Self

from engines.errors import ConfigError
from streamer.camera_board import CameraBoard, CameraEntry
from streamer.camera_status import CameraStatus
from streamer.config_watch import WatchConfig, split_listen
from streamer.metrics import Metrics
from streamer.watch_access import Access, read_token
from streamer.watch_handler import WatchHandler

__all__ = ["WatchServer", "open_watch_server", "watched_camera"]

_MOST_CONNECTIONS: Final = 64
_MOST_STREAMS: Final = 16


class _Slot:
    """The newest picture of a camera, made once for all who look at the same time."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.made_s = float("-inf")
        self.data: bytes | None = None


class WatchServer(ThreadingHTTPServer):
    """Serves one board, a thread for each connection. A context manager.

    Args:
        address: host and port; port 0 takes a free one, see `port`.
        board: the cameras.
        access: who may look.
        config: previews and their rate.
        now: monotonic clock in seconds.

    Raises:
        ConfigError: the address cannot be used.
    """

    daemon_threads = True
    # A viewer that hangs must not keep the program from ending.
    block_on_close = False
    request_queue_size = 32

    def __init__(
        self,
        address: tuple[str, int],
        board: CameraBoard,
        access: Access,
        config: WatchConfig,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.board, self.access, self.config = board, access, config
        self.metrics = Metrics(board)
        self.stopping = threading.Event()
        self.streams = threading.BoundedSemaphore(_MOST_STREAMS)
        self._connections = threading.BoundedSemaphore(_MOST_CONNECTIONS)
        self._open: set[socket.socket] = set()
        self._now = now
        self._slots: dict[str, _Slot] = {}
        self._slots_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        try:
            super().__init__(address, WatchHandler)
        except OSError as exc:
            raise ConfigError(
                f"watch.listen {address[0]}:{address[1]} cannot be used: {exc.strerror or exc}"
            ) from None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    def picture(self, camera: CameraEntry) -> bytes | None:
        """The preview of a camera; made once for all who look at the same time."""
        with self._slots_lock:
            if camera.name not in self._slots:
                known = {one.name for one in self.board.snapshots()}
                self._slots = {k: slot for k, slot in self._slots.items() if k in known}
            slot = self._slots.setdefault(camera.name, _Slot())
        # A lock for each camera: one that is slow to answer must not hold up the others.
        with slot.lock:
            if self._now() - slot.made_s >= 1 / self.config.preview_fps:
                slot.data, slot.made_s = camera.preview_jpeg(), self._now()
            return slot.data

    def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401 - as typeshed has it
        """Answer in a new thread, or hang up when there are too many already."""
        if not self._connections.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """The thread of one connection."""
        self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            self._connections.release()

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
        """A viewer that goes away in mid-answer is no news."""

    def __enter__(self) -> Self:
        self._thread = threading.Thread(
            target=self.serve_forever, kwargs={"poll_interval": 0.1}, name="watch", daemon=True
        )
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self.shutdown()
        if self._thread is not None:
            self._thread.join()
        self.server_close()
        # Browsers keep their connections; whoever asks again must not be answered from the grave.
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def open_watch_server(config: WatchConfig, board: CameraBoard) -> Iterator[WatchServer | None]:
    """Serve a board while the block runs; nothing is served without `config.listen`.

    Raises:
        ConfigError: the address or the token cannot be used.
    """
    if config.listen is None:
        yield None
        return
    token = None if config.token_file is None else read_token(config.token_file)
    with WatchServer(split_listen(config.listen), board, Access(token), config) as server:
        yield server


@contextmanager
def watched_camera(config: WatchConfig, name: str) -> Iterator[CameraStatus]:
    """The status of the one camera of a process, served while the block runs.

    Args:
        config: where, and to whom.
        name: of the camera, without credentials.

    Raises:
        ConfigError: the address or the token cannot be used.
    """
    status, board = CameraStatus(name), CameraBoard()
    board.add(status)
    with open_watch_server(config, board):
        yield status
