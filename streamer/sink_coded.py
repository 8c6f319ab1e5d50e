"""Coded pictures: anonymised frames after the encoder, on their way to any number of outputs.

Only `PictureEncoder` makes one, and it takes nothing but `AnonymizedFrame`; outputs of live video
take coded pictures and copied packets. So a picture from the camera has no way into an output.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import InitVar, dataclass, field
from fractions import Fraction
from typing import Final

import av
import av.container
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from engines.errors import SinkError
from streamer.blender import AnonymizedFrame
from streamer.media_info import MediaInfo, Notices
from streamer.sink_encode import VideoEncoder
from streamer.sink_format import OutputFormat, SinkOptions

__all__ = ["CodedPicture", "CodedVideo", "PictureEncoder"]

# Private: whoever holds it may call coded bytes anonymous. It guards against mistakes, not malice.
_SEAL: Final = object()
_GLOBAL_HEADER: Final = 1 << 22  # AV_CODEC_FLAG_GLOBAL_HEADER
# The encoder belongs to no container; display matrices are set on the outputs that can hold one.
_NO_FORMAT: Final = OutputFormat("null", "live video", True, None, False, True)


@dataclass(frozen=True, slots=True, eq=False)
class CodedPicture:
    """One anonymised picture as the encoder gave it; only `PictureEncoder` builds one.

    Attributes:
        data: Annex B bytes; key frames begin with their parameter sets.
        pts: time in units of `time_base`; equal to the decoding time, there are no B-frames.
        time_base: seconds per unit.
        is_keyframe: whether decoding can begin here.
        arrived_s: when its frame came from the camera, on the job's clock; None for made pictures.
    """

    data: bytes = field(repr=False)
    pts: int
    time_base: Fraction
    is_keyframe: bool
    arrived_s: float | None
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("only PictureEncoder builds CodedPicture")

    def packet(self, stream: Stream, shift: int) -> Packet[Stream]:
        """A packet for the muxer.

        Args:
            stream: where it goes.
            shift: added to its time, in units of `time_base`.
        """
        packet: Packet[Stream] = Packet(self.data)
        packet.pts = packet.dts = self.pts + shift
        packet.time_base = self.time_base
        packet.is_keyframe = self.is_keyframe
        packet.stream = stream
        return packet


@dataclass(frozen=True, slots=True, eq=False)
class CodedVideo:
    """The video that coded pictures belong to; outputs open their containers for it.

    Attributes:
        info: size, time base, and the other streams.
        template: opaque; codec parameters for muxers, valid as long as the encoder is.
    """

    info: MediaInfo
    template: object = field(repr=False)

    def add_to(self, container: av.container.OutputContainer, *, keeps_matrix: bool) -> Stream:
        """Add the video's stream to a container.

        Args:
            container: a new output.
            keeps_matrix: whether it can say that the picture is to be turned.
        """
        if not isinstance(self.template, VideoStream):
            raise TypeError("a coded video needs the template that its encoder made")
        stream: VideoStream = container.add_stream_from_template(self.template, opaque=True)
        stream.time_base = self.info.time_base
        if keeps_matrix and self.info.display_matrix is not None:
            stream.set_display_matrix(self.info.display_matrix)
        return stream


class PictureEncoder:
    """Encodes anonymised frames once, for all outputs. Not thread-safe.

    Args:
        info: facts about the frames.
        options: codec and quality.
        notices: takes what cannot be kept.

    Raises:
        SinkError: the encoder cannot be opened.
    """

    def __init__(self, info: MediaInfo, *, options: SinkOptions, notices: Notices) -> None:
        self._info = info
        self._last_pts: int | None = None
        self._arrived_s: dict[int, float | None] = {}
        try:
            self._holder = av.open(io.BytesIO(), "w", format="null")
            self._encoder = VideoEncoder(self._holder, _NO_FORMAT, info, options, notices)
            self._encoder.stream.codec_context.flags |= _GLOBAL_HEADER
            self._holder.start_encoding()
        except av.FFmpegError as exc:
            reason = exc.strerror or type(exc).__name__
            raise SinkError(f"the encoder cannot be opened: {reason}") from None
        self._header = bytes(self._encoder.stream.codec_context.extradata or b"")
        self.video = CodedVideo(info, self._encoder.stream)

    def encode(
        self, frame: AnonymizedFrame, *, is_key: bool, arrived_s: float | None
    ) -> list[CodedPicture]:
        """Encode one frame.

        Args:
            frame: later than the one before, of the size that this was opened for.
            is_key: make it a key frame in any case.
            arrived_s: when it came from the camera.

        Raises:
            TypeError: this is not an anonymised frame.
            ValueError: its time, size or time base does not fit.
            SinkError: the encoder failed.
        """
        if not isinstance(frame, AnonymizedFrame):
            raise TypeError(f"only AnonymizedFrame may be encoded, got {type(frame).__name__}")
        height, width = self._info.size_hw
        if frame.pixels.shape != (height * 3 // 2, width):
            raise ValueError(f"a frame of {frame.pixels.shape} in a video of {(height, width)}")
        if frame.time_base != self._info.time_base:
            raise ValueError(f"time base {frame.time_base} in a video of {self._info.time_base}")
        if self._last_pts is not None and frame.pts <= self._last_pts:
            raise ValueError(f"pts {frame.pts} after {self._last_pts}")
        self._last_pts = frame.pts
        self._arrived_s[frame.pts] = arrived_s
        return self._coded(
            self._encoder.encode(frame.pixels, frame.pts, frame.color, is_key=is_key)
        )

    def flush(self) -> list[CodedPicture]:
        """What the encoder still holds."""
        return self._coded(self._encoder.flush())

    def _coded(self, packets: Iterable[Packet[VideoStream]]) -> list[CodedPicture]:
        try:
            return [self._picture(packet) for packet in packets if packet.pts is not None]
        except av.FFmpegError as exc:
            raise SinkError(f"the encoder failed: {exc.strerror or type(exc).__name__}") from None

    def _picture(self, packet: Packet[VideoStream]) -> CodedPicture:
        pts = packet.pts or 0
        # Whoever joins in the middle needs the parameter sets again.
        data = self._header + bytes(packet) if packet.is_keyframe else bytes(packet)
        arrived_s = self._arrived_s.pop(pts, None)
        base = self._info.time_base
        return CodedPicture(data, pts, base, packet.is_keyframe, arrived_s, seal=_SEAL)
