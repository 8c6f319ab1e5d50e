"""MPEG-TS over UDP: sent by Python's own socket, so nothing about it can wait."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import av
import av.container
from av.stream import Stream

from engines.errors import SinkError
from streamer.frames import CopiedPacket
from streamer.media_info import Notices
from streamer.redact import redact_url
from streamer.sink_coded import CodedPicture
from streamer.sink_format import OutputFormat
from streamer.sink_items import Cut
from streamer.sink_mux import Muxer

__all__ = ["DatagramPublisher"]

_DATAGRAM_BYTES: Final = 7 * 188


class _DatagramSender:
    """Sends what is written as UDP datagrams of whole transport packets; never waits.

    A receiver that is not there costs nothing: UDP has no connection.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self.name = redact_url(url)
        family, kind, protocol, _, address = socket.getaddrinfo(
            parts.hostname, parts.port, type=socket.SOCK_DGRAM
        )[0]
        self._socket = socket.socket(family, kind, protocol)
        self._socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 8)
        self._address = address

    def write(self, data: bytes) -> int:
        view = memoryview(data)
        for start in range(0, len(view), _DATAGRAM_BYTES):
            # A refused datagram means that nobody listens yet.
            with contextlib.suppress(ConnectionRefusedError):
                self._socket.sendto(view[start : start + _DATAGRAM_BYTES], self._address)
        return len(view)

    def close(self) -> None:
        self._socket.close()


class DatagramPublisher:
    """A target that takes coded pictures; see `OutputTarget`. Not thread-safe.

    Args:
        url: udp://host:port; multicast groups are fine.
        output: the transport stream.
        notices: takes what cannot be sent.
    """

    renews: Final = "on new video"

    def __init__(self, url: str, output: OutputFormat, *, notices: Notices) -> None:
        self.name = redact_url(url)
        self._url, self._format, self._notices = url, output, notices
        self._sender: _DatagramSender | None = None
        self._container: av.container.OutputContainer | None = None
        self._stream: Stream | None = None
        self._muxer: Muxer | None = None
        self._shift = 0

    def is_ready(self) -> bool:
        """Nobody answers in any case."""
        return True

    def open(self, cut: Cut) -> None:
        """Begin to send.

        Raises:
            SinkError: the address has no meaning here.
        """
        self._shift = -cut.start_pts
        with self._translated():
            self._sender = _DatagramSender(self._url)
            self._container = av.open(
                self._sender,
                "w",
                format=self._format.name,
                container_options=self._format.muxer_options(None),
                buffer_size=_DATAGRAM_BYTES,
            )
            self._stream = cut.video.add_to(self._container, keeps_matrix=False)
            self._muxer = Muxer(
                self._container, self._format, cut.video.info,
                shift=self._shift, notices=self._notices, is_live=True,
            )  # fmt: skip
            self._container.start_encoding()

    def write(self, item: CodedPicture | CopiedPacket) -> None:
        """Send one item.

        Raises:
            SinkError: the network is down.
        """
        if self._muxer is None or self._stream is None:
            raise SinkError(f"{self.name}: not open")
        with self._translated():
            if isinstance(item, CodedPicture):
                self._muxer.add_video([item.packet(self._stream, self._shift)])
            else:
                self._muxer.add_copy(item)

    def close(self) -> None:
        """Stop sending.

        Raises:
            SinkError: the network is down.
        """
        container, self._container = self._container, None
        self._muxer = self._stream = None
        try:
            if container is not None:
                with self._translated():
                    container.close()
        finally:
            sender, self._sender = self._sender, None
            if sender is not None:
                sender.close()

    def abandon(self) -> None:
        """Stop sending; never fails."""
        with contextlib.suppress(SinkError):
            self.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except av.FFmpegError as exc:
            raise SinkError(f"{self.name}: {exc.strerror or type(exc).__name__}") from None
        except OSError as exc:
            raise SinkError(f"{self.name}: {exc.strerror or type(exc).__name__}") from None
