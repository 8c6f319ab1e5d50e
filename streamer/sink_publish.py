"""Publishing: outputs that go to an RTSP or RTMP server, or as MPEG-TS to a UDP address."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit, urlunsplit

from engines.errors import ConfigError
from streamer.media_info import Notices
from streamer.redact import redact_url
from streamer.sink_datagrams import DatagramPublisher
from streamer.sink_format import PUBLISHED, OutputFormat
from streamer.sink_items import OutputTarget
from streamer.sink_remote import RemotePublisher
from streamer.tcp_relay import TcpRelay

__all__ = ["PublishOptions", "make_publisher"]

_DEFAULT_PORT: Final = {"rtmp": 1935, "rtmps": 443, "rtsps": 322}


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


def make_publisher(url: str, *, options: PublishOptions, notices: Notices) -> OutputTarget:
    """What publishes to an address; nothing is connected yet.

    Args:
        url: rtsp, rtsps, rtmp, rtmps or udp; may hold credentials.
        options: time-outs and transport.
        notices: takes what cannot be sent.

    Raises:
        ConfigError: another kind of address, or one without a host or port.
    """
    output = _format_of(url, redact_url(url))
    scheme = urlsplit(url).scheme.lower()
    if scheme == "udp":
        return DatagramPublisher(url, output, notices=notices)
    relay = _RelayMaker(url, scheme, options) if scheme in _DEFAULT_PORT else None
    settings = _rtsp_settings(scheme, options) if scheme in ("rtsp", "rtsps") else {}
    return RemotePublisher(
        url, output, settings, relay=relay, timeout_s=options.timeout_s, notices=notices
    )


def _rtsp_settings(scheme: str, options: PublishOptions) -> dict[str, str]:
    return {
        # Datagrams would go round the encrypted connection.
        "rtsp_transport": "tcp" if scheme == "rtsps" else options.rtsp_transport,
        "timeout": str(round(options.timeout_s * 1e6)),
    }


@dataclass(frozen=True, slots=True)
class _RelayMaker:
    """Leads a connection through a relay of ours.

    FFmpeg's RTMP output has neither time-outs nor options, and its RTSP output takes any
    certificate: it knows `tls_verify` and `ca_file` for inputs only.
    """

    url: str
    scheme: str
    options: PublishOptions

    def __call__(self) -> tuple[TcpRelay, str, dict[str, str]]:
        parts = urlsplit(self.url)
        host, port = parts.hostname or "", parts.port or _DEFAULT_PORT[self.scheme]
        tls = None if self.scheme == "rtmp" else _tls_context(self.options)
        relay = TcpRelay(host, port, timeout_s=self.options.timeout_s, tls=tls)
        login = parts.netloc.rpartition("@")[0]
        netloc = f"{login}@127.0.0.1:{relay.port}" if login else f"127.0.0.1:{relay.port}"
        if self.scheme == "rtsps":
            return relay, urlunsplit(("rtsp", netloc, parts.path, parts.query, "")), {}
        app = parts.path.lstrip("/").rpartition("/")[0] or parts.path.lstrip("/")
        # The server compares this address with its own name, not with the relay's.
        more = {"rtmp_tcurl": f"{self.scheme}://{host}:{port}/{app}"}
        return relay, urlunsplit(("rtmp", netloc, parts.path, parts.query, "")), more


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
