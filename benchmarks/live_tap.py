"""A tap between a job and a viewer: when the last packet of each picture was published."""

from __future__ import annotations

import socket
import threading
import time
from typing import Final, Self

__all__ = ["TransportTap"]

_HOST: Final = "127.0.0.1"
_PACKET_BYTES: Final = 188


class TransportTap:
    """Passes MPEG-TS datagrams on and notes when each picture was complete. A context manager.

    A viewer knows that a picture is complete only when the next one begins, a frame later.

    Args:
        viewer_port: where the datagrams go.

    Attributes:
        port: where they come from the job.
        came_s: pts (in 1/90000 s) of a picture -> monotonic time at which its last packet came.
    """

    def __init__(self, viewer_port: int) -> None:
        self.came_s: dict[int, float] = {}
        self._viewer = (_HOST, viewer_port)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((_HOST, 0))
        self._socket.settimeout(0.2)
        self.port: int = self._socket.getsockname()[1]
        self._video: tuple[int, int] | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        self._socket.close()

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                data = self._socket.recv(65536)
            except TimeoutError:
                continue
            now_s = time.monotonic()
            self._socket.sendto(data, self._viewer)
            for at in range(0, len(data), _PACKET_BYTES):
                self.note(data[at : at + _PACKET_BYTES], now_s)

    def note(self, packet: bytes, now_s: float) -> None:
        """Take in one packet of 188 bytes, which came just now."""
        pid = (packet[1] & 0x1F) << 8 | packet[2]
        start = 4 + (1 + packet[4] if packet[3] & 0x20 else 0)
        if packet[1] & 0x40 and packet[start : start + 3] == b"\0\0\1":
            head = packet[start + 3 : start + 14]
            if head[0] & 0xF0 == 0xE0 and head[4] & 0x80:
                self._video = pid, _time_stamp(head[6:11])
        if self._video is not None and self._video[0] == pid:
            self.came_s[self._video[1]] = now_s


def _time_stamp(field: bytes) -> int:
    high, middle, low = field[0] >> 1 & 7, int.from_bytes(field[1:3], "big") >> 1, field[3:5]
    return high << 30 | middle << 15 | int.from_bytes(low, "big") >> 1
