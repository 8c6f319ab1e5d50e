"""Opening of inputs: which formats and protocols are allowed, and what to say when it fails."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

import av
import av.container

from engines.errors import SourceOpenError, SourceRefusedError, SourceSilentError
from streamer.redact import display_name, is_url
from streamer.source_convert import Scaler

__all__ = ["SourceOptions", "is_playlist", "open_container"]

# Demuxers that read one file and nothing else. Playlists (hls, concat, dash, sdp, image2) are left
# out: under the name of a video they would make us open whatever file or address they list.
_FILE_FORMATS = (
    "mov,matroska,avi,mpegts,mpeg,mpegvideo,h264,hevc,m4v,h263,h261,av1,obu,ivf,flv,asf,ogg,gif,"
    "apng,mjpeg,mjpeg_2000,mxf,mxf_opatom,nut,rm,dv,wtv,vc1,vvc,dirac,gxf,yuv4mpegpipe,"
    "mp3,wav,flac,aac"
)
# What each kind of URL may use underneath; none may touch local files.
_NETWORK = "tcp,tls,udp,rtp,srtp,http,https,httpproxy,crypto,rtsp,rtsps,rtmp,rtmps,rtmpt,mpegts"


_SILENT: Final = (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN)


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """How a source is opened and read.

    Attributes:
        mode: "file" ends at the end of the file; in "live" the end means a lost connection.
        rate_hz: frame rate of streams that carry no times, None to take what the stream says.
        video_stream: which video of several, counted from 0.
        decoder_threads: threads of the decoder, 0 to choose.
        open_timeout_s: longest wait for a connection (live only).
        read_timeout_s: longest wait for a packet (live only).
        rtsp_transport: how RTSP carries the media.
        tls_verify: whether the certificate of an encrypted connection must be valid.
        ca_file: certificates to trust instead of the system's.
        scaler: what converts the pictures; give the same one to read a file again, since its
            tables for high dynamic range take seconds to make. One source at a time uses it.
    """

    mode: Literal["file", "live"] = "file"
    rate_hz: Fraction | None = None
    video_stream: int = 0
    decoder_threads: int = 0
    open_timeout_s: float = 10.0
    read_timeout_s: float = 5.0
    rtsp_transport: Literal["tcp", "udp"] = "tcp"
    tls_verify: bool = True
    ca_file: Path | None = None
    scaler: Scaler | None = None


def open_container(
    source: str | os.PathLike[str], options: SourceOptions
) -> av.container.InputContainer:
    """Open a file or a URL for reading.

    Raises:
        SourceOpenError: it is missing, empty, incomplete, or not a video.
        SourceRefusedError: it wants another user or password.
        SourceSilentError: nobody accepts connections there.
    """
    text, name = os.fspath(source), display_name(source)
    if is_url(text):
        return _open_url(text, name, options)
    _check_file(Path(text), name)
    try:
        # The prefix keeps a colon in a file name from being read as a protocol.
        return av.open(
            f"file:{text}",
            "r",
            container_options={"protocol_whitelist": "file", "format_whitelist": _FILE_FORMATS},
            metadata_errors="replace",
        )
    except av.FFmpegError as exc:
        reason = _why_not_opened(Path(text), exc)
    raise SourceOpenError(f"{name}: {reason}")


def _open_url(url: str, name: str, options: SourceOptions) -> av.container.InputContainer:
    error: type[SourceOpenError] = SourceOpenError
    try:
        return av.open(
            url,
            "r",
            container_options=_url_options(url, options),
            metadata_errors="replace",
            timeout=(options.open_timeout_s, options.read_timeout_s),
        )
    except av.FFmpegError as exc:
        reason = exc.strerror or type(exc).__name__
        if isinstance(exc, av.HTTPUnauthorizedError | av.HTTPForbiddenError):
            error = SourceRefusedError
        elif exc.errno in _SILENT:
            error = SourceSilentError
    # Not raised inside: the error of PyAV, chained, would print the URL with its password.
    raise error(f"{name}: {reason}") from None


def _check_file(path: Path, name: str) -> None:
    try:
        status = path.stat()
    except OSError as exc:
        raise SourceOpenError(f"{name}: cannot be opened: {exc.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        raise SourceOpenError(f"{name}: is not a regular file; give a video file or a URL")
    if status.st_size == 0:
        raise SourceOpenError(f"{name}: the file is empty, so it is not a video")
    if not os.access(path, os.R_OK):
        raise SourceOpenError(f"{name}: no permission to read it")


def _why_not_opened(path: Path, exc: av.FFmpegError) -> str:
    if isinstance(exc, PermissionError):
        return "no permission to read it"
    with path.open("rb") as file:
        head = file.read(12)
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free") and not _has_box(path, b"moov"):
        return "the index (moov) is missing: the file is incomplete, copy or record it again"
    if head.startswith(b"#EXTM3U"):
        return "is a playlist, not a video; playlists are only followed when given as a URL"
    if isinstance(exc, av.InvalidDataError | av.ArgumentError | ValueError):
        return "not a video, or of a format that is not supported"
    return exc.strerror or type(exc).__name__


def _has_box(path: Path, wanted: bytes) -> bool:
    """Whether an ISO media file has a top-level box of this type."""
    with path.open("rb") as file:
        end = os.fstat(file.fileno()).st_size
        position = 0
        while position + 8 <= end:
            file.seek(position)
            header = file.read(16)
            if header[4:8] == wanted:
                return True
            size = int.from_bytes(header[:4], "big")
            if size == 1:
                size = int.from_bytes(header[8:16], "big")
            if size < 8:  # 0 means "to the end of the file", less is damage
                return False
            position += size
    return False


def is_playlist(url: str) -> bool:
    """Whether an address names an HLS playlist, which gives a whole segment at once."""
    return is_url(url) and urlsplit(url).path.lower().endswith((".m3u8", ".m3u"))


def _url_options(url: str, options: SourceOptions) -> dict[str, str]:
    scheme = url.partition("://")[0].lower()
    settings = {"protocol_whitelist": _NETWORK}
    if options.mode == "live":
        # FFmpeg would watch 20 frames for their rate before it gives the first one away.
        settings["fpsprobesize"] = "3"
    if scheme in ("rtsp", "rtsps"):
        settings["rtsp_transport"] = options.rtsp_transport
    if scheme in ("rtsps", "https", "rtmps", "tls"):
        settings["tls_verify"] = "1" if options.tls_verify else "0"
        if options.ca_file is not None:
            settings["ca_file"] = os.fspath(options.ca_file)
    return settings
