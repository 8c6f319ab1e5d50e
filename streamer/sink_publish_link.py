"""What goes between a job and the process that publishes for it: length-prefixed messages."""

from __future__ import annotations

import io
import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import BinaryIO, Final, TypeAlias

import av
from av.packet import Packet
from av.stream import Stream

from streamer.frames import CopiedPacket
from streamer.media_info import MediaInfo
from streamer.sink_coded import CodedVideo

__all__ = [
    "CloseRequest",
    "OpenRequest",
    "PictureRequest",
    "PublishRequest",
    "encode_request",
    "make_open_request",
    "read_requests",
    "templates_of",
]

_SIZE: Final = struct.Struct("<I")
# A container that takes any codec and keeps the parameters as they are.
_TEMPLATE_FORMAT: Final = "nut"


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """Connect.

    Attributes:
        url: where to, with credentials.
        format_name: FFmpeg's name of the format.
        settings: options of the format.
        info: facts; its streams carry no templates.
        templates: a container that holds the codec parameters of the video and of those streams.
        start_pts: becomes the time 0.
        timeout_s: after so long without progress the process ends itself.
    """

    url: str = field(repr=False)
    format_name: str
    settings: dict[str, str] = field(repr=False)
    info: MediaInfo
    templates: bytes = field(repr=False)
    start_pts: int
    timeout_s: float


@dataclass(frozen=True, slots=True)
class PictureRequest:
    """Send a coded picture."""

    data: bytes = field(repr=False)
    pts: int
    is_keyframe: bool


@dataclass(frozen=True, slots=True)
class CloseRequest:
    """Say good-bye; nothing when there is no connection."""


PublishRequest: TypeAlias = OpenRequest | PictureRequest | CopiedPacket | CloseRequest


def encode_request(request: PublishRequest) -> bytes:
    """The bytes of a message."""
    body = pickle.dumps(request, protocol=5)
    return _SIZE.pack(len(body)) + body


def read_requests(stream: BinaryIO) -> Iterator[PublishRequest]:
    """Messages until the other end closes."""
    while len(head := stream.read(_SIZE.size)) == _SIZE.size:
        body = stream.read(_SIZE.unpack(head)[0])
        request: PublishRequest = pickle.loads(body)  # noqa: S301 - from our own parent, see above
        yield request


def make_open_request(
    video: CodedVideo,
    url: str,
    format_name: str,
    settings: dict[str, str],
    *,
    start_pts: int,
    timeout_s: float,
) -> OpenRequest:
    """What the other process needs to connect.

    Args:
        video: what is published.
        url: where to.
        format_name: FFmpeg's name of the format.
        settings: options of the format.
        start_pts: becomes the time 0.
        timeout_s: longest time without progress.
    """
    info, holder = video.info, io.BytesIO()
    known = tuple(one for one in info.copy_streams if isinstance(one.template, Stream))
    with av.open(holder, "w", format=_TEMPLATE_FORMAT) as container:
        video.add_to(container, keeps_matrix=False)
        for one in known:
            if isinstance(one.template, Stream):
                container.add_stream_from_template(one.template)
        for stream in container.streams:
            # A container without any packet cannot be read; nobody decodes these.
            packet: Packet[Stream] = Packet(bytes(8))
            packet.pts = packet.dts = 0
            packet.stream, packet.is_keyframe = stream, True
            container.mux_one(packet)
    bare = tuple(replace(one, template=None) for one in known)
    # Texts of the header may say who and where; nobody out there needs them.
    plain = replace(info, copy_streams=bare, metadata={}, chapters=(), title=None)
    return OpenRequest(url, format_name, settings, plain, holder.getvalue(), start_pts, timeout_s)


def templates_of(request: OpenRequest) -> tuple[CodedVideo, MediaInfo]:
    """The video and the facts again, with templates."""
    container = av.open(
        io.BytesIO(request.templates), "r", format=_TEMPLATE_FORMAT, options={"fpsprobesize": "0"}
    )
    video, *others = container.streams
    streams = tuple(
        replace(one, template=template)
        for one, template in zip(request.info.copy_streams, others, strict=True)
    )
    info = replace(request.info, copy_streams=streams)
    return CodedVideo(info, video), info
