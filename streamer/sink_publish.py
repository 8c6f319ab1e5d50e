"""Publishing: an output that goes to an RTSP or RTMP server, or as MPEG-TS to a UDP address."""

from __future__ import annotations

import contextlib
import os
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit, urlunsplit

import av
import av.container
from av.stream import Stream

from engines.errors import ConfigError, SinkError
from streamer.frames import CopiedPacket
from streamer.media_info import Notices
from streamer.redact import redact_url
from streamer.sink_coded import CodedPicture
from streamer.sink_format import PUBLISHED, OutputFormat
from streamer.sink_items import Cut
from streamer.sink_mux import Muxer
from streamer.tcp_relay import TcpRelay

__all__ = ["PublishOptions", "Publisher"]

_DATAGRAM_BYTES: Final = 7 * 188
# FLV counts milliseconds in 32 bits; long before they run out the connection is made anew.
_LONGEST_FLV_S: Final = 20 * 86400
_DEFAULT_PORT: Final = {"rtmp": 1935, "rtmps": 443}


@dataclass(frozen=True, slots=True)
class PublishOptions:
    """How a server is spoken to.

    Attributes:
        timeout_s: longest wait for a connection, an answer, or a write.
        rtsp_transport: how RTSP carries the media.
        tls_verify: whether the certificate of rtsps and rtmps must be valid.
        ca_file: certificates to trust instead of the system's.
    """

    timeout_s: float = 5.0
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    tls_verify: bool = True
    ca_file: Path | None = None


class Publisher:
    """A connection that takes coded pictures; see `OutputTarget`. Not thread-safe.

    Args:
        url: rtsp, rtsps, rtmp, rtmps or udp.
        options: time-outs and transport.
        notices: takes what cannot be sent.

    Raises:
        ConfigError: another kind of URL, or one without a host or port.
    """

    renews: Final = "on new video"

    def __init__(self, url: str, *, options: PublishOptions, notices: Notices) -> None:
        self._url = url
        self.name = redact_url(url)
        self._options = options
        self._notices = notices
        self._format = _format_of(url, self.name)
        self._container: av.container.OutputContainer | None = None
        self._stream: Stream | None = None
        self._muxer: Muxer | None = None
        self._closers: list[contextlib.AbstractContextManager[object]] = []
        self._shift = 0
        self._start_pts: int | None = None

    def is_ready(self) -> bool:
        """Only an attempt tells."""
        return True

    def open(self, cut: Cut) -> None:
        """Connect.

        Raises:
            SinkError: nobody answers, or the server refuses.
        """
        # Times begin near zero: none of the protocols has room for months.
        self._shift, self._start_pts = -cut.start_pts, cut.start_pts
        with self._translated():
            self._container = self._connect()
            keeps_matrix = self._format.keeps_matrix
            self._stream = cut.video.add_to(self._container, keeps_matrix=keeps_matrix)
            self._muxer = Muxer(
                self._container, self._format, cut.video.info,
                shift=self._shift, notices=self._notices, is_live=True,
            )  # fmt: skip
            self._container.start_encoding()

    def write(self, item: CodedPicture | CopiedPacket) -> None:
        """Send one item.

        Raises:
            SinkError: the connection is lost.
        """
        if self._muxer is None or self._stream is None:
            raise SinkError(f"{self.name}: not connected")
        with self._translated():
            if isinstance(item, CodedPicture):
                self._check_age(item)
                self._muxer.add_video([item.packet(self._stream, self._shift)])
            else:
                self._muxer.add_copy(item)

    def _check_age(self, picture: CodedPicture) -> None:
        age_s = (picture.pts - (self._start_pts or 0)) * picture.time_base
        if self._format.name == "flv" and age_s > _LONGEST_FLV_S:
            raise SinkError(f"{self.name}: connected anew before the times run out")

    def close(self) -> None:
        """Say good-bye.

        Raises:
            SinkError: the server has gone.
        """
        container, self._container = self._container, None
        self._muxer = self._stream = None
        try:
            if container is not None:
                with self._translated():
                    container.close()
        finally:
            self._close_rest()

    def abandon(self) -> None:
        """Hang up."""
        with contextlib.suppress(SinkError):
            # The socket first: FFmpeg's good-bye would wait for an answer.
            self._close_rest()
            self.close()

    def _close_rest(self) -> None:
        while self._closers:
            self._closers.pop().__exit__(None, None, None)

    def _connect(self) -> av.container.OutputContainer:
        scheme = urlsplit(self._url).scheme.lower()
        if scheme == "udp":
            sender = _DatagramSender(self._url)
            self._closers.append(contextlib.closing(sender))
            return av.open(
                sender,
                "w",
                format=self._format.name,
                container_options=self._format.muxer_options(None),
                buffer_size=_DATAGRAM_BYTES,
            )
        url, settings = self._url, self._format.muxer_options(None)
        if scheme in ("rtmp", "rtmps"):
            url, more = self._through_relay(scheme)
            settings |= more
        else:
            settings |= self._rtsp_settings(scheme)
        return av.open(url, "w", format=self._format.name, container_options=settings)

    def _rtsp_settings(self, scheme: str) -> dict[str, str]:
        options = self._options
        settings = {
            "rtsp_transport": options.rtsp_transport,
            "timeout": str(round(options.timeout_s * 1e6)),
        }
        if scheme == "rtsps":
            settings["tls_verify"] = "1" if options.tls_verify else "0"
            if options.ca_file is not None:
                settings["ca_file"] = os.fspath(options.ca_file)
        return settings

    def _through_relay(self, scheme: str) -> tuple[str, dict[str, str]]:
        parts = urlsplit(self._url)
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORT[scheme]
        tls = _tls_context(self._options) if scheme == "rtmps" else None
        relay = TcpRelay(host, port, timeout_s=self._options.timeout_s, tls=tls)
        self._closers.append(contextlib.closing(relay))
        login = parts.netloc.rpartition("@")[0]
        netloc = f"{login}@127.0.0.1:{relay.port}" if login else f"127.0.0.1:{relay.port}"
        app = parts.path.lstrip("/").rpartition("/")[0] or parts.path.lstrip("/")
        # The server compares this address with its own name, not with the relay's.
        settings = {"rtmp_tcurl": f"{scheme}://{host}:{port}/{app}"}
        return urlunsplit(("rtmp", netloc, parts.path, parts.query, "")), settings

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except av.FFmpegError as exc:
            reason = exc.strerror or type(exc).__name__
            raise SinkError(f"{self.name}: {reason}") from None
        except OSError as exc:
            raise SinkError(f"{self.name}: {exc.strerror or type(exc).__name__}") from None


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


def _tls_context(options: PublishOptions) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=options.ca_file)
    if not options.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _format_of(url: str, name: str) -> OutputFormat:
    try:
        parts = urlsplit(url)
        has_port = parts.port is not None
    except ValueError:
        raise ConfigError(f"{name}: not a valid address") from None
    found = PUBLISHED.get(parts.scheme.lower())
    if found is None:
        raise ConfigError(f"{name}: cannot publish to {parts.scheme}; use {', '.join(PUBLISHED)}")
    if not parts.hostname or (parts.scheme.lower() == "udp" and not has_port):
        raise ConfigError(f"{name}: needs a host{' and a port' if parts.scheme == 'udp' else ''}")
    return found
