"""Video encoding: I420 planes to packets, one for one and with their times."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction

import av
import av.container
import numpy as np
from av.codec.context import CodecContext
from av.packet import Packet
from av.stream import Stream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from engines.arrays import UInt8Array
from streamer.frames import ColorSpec
from streamer.media_info import MediaInfo, Notices
from streamer.sink_format import OutputFormat, SinkOptions

__all__ = ["VideoEncoder"]

_ENCODERS = {"h264": "libx264", "hevc": "libx265"}
_INTERLACED_FLAGS = 1 << 18 | 1 << 29  # AV_CODEC_FLAG_INTERLACED_DCT, AV_CODEC_FLAG_INTERLACED_ME
_FIELD_ORDER = {"tff": 2, "bff": 3}
_DEFAULT_RATE_HZ = Fraction(25)


class VideoEncoder:
    """Encodes the frames of one output. Not thread-safe.

    No B-frames, so that packets leave in the order of their frames, dts equals pts, and no
    container has to move times to make room for reordering.

    Args:
        container: output that gets the video stream.
        output: kind of the container.
        info: facts about the frames.
        options: codec and quality.
        notices: takes what cannot be kept.
    """

    def __init__(
        self,
        container: av.container.OutputContainer,
        output: OutputFormat,
        info: MediaInfo,
        options: SinkOptions,
        notices: Notices,
    ) -> None:
        self._time_base = info.time_base
        self._turns = 0 if output.keeps_matrix else info.rotation_deg // 90
        self._key_interval = max(round(options.keyframe_interval_s / info.time_base), 1)
        self._next_key: int | None = None
        self._is_interlaced = self._may_interlace(info, options, notices)
        self._wrapper = self._make_wrapper(info)
        self.stream = self._add_stream(container, info, options)
        if output.keeps_matrix and info.display_matrix is not None:
            self.stream.set_display_matrix(info.display_matrix)
        elif info.display_matrix is not None:
            notices.add(
                f"{output.label} cannot say that a picture is turned, so the pixels are turned by "
                f"{info.rotation_deg} degrees"
            )

    def _add_stream(
        self, container: av.container.OutputContainer, info: MediaInfo, options: SinkOptions
    ) -> VideoStream:
        rate_hz = info.average_rate_hz or _DEFAULT_RATE_HZ
        stream: VideoStream = container.add_stream(  # type: ignore[assignment] # any kind, says the stub
            _ENCODERS[options.codec], rate=rate_hz
        )
        sideways = self._turns % 2 == 1
        height, width = info.size_hw[::-1] if sideways else info.size_hw
        context = stream.codec_context
        context.width, context.height, context.pix_fmt = width, height, "yuv420p"
        context.time_base = stream.time_base = info.time_base
        context.sample_aspect_ratio = 1 / info.sar if sideways else info.sar
        context.gop_size = max(1, min(600, round(options.keyframe_interval_s * rate_hz * 2)))
        context.max_b_frames = 0
        # More slices than this cost quality and no encoder of ours is that slow.
        context.thread_count = options.encoder_threads or min(os.cpu_count() or 1, 4)
        _set_color(context, info.color)
        context.options = _codec_options(options)
        if self._is_interlaced:
            context.flags |= _INTERLACED_FLAGS
            context.field_order = _FIELD_ORDER[info.field_order]
        if options.codec == "hevc":
            context.codec_tag = "hvc1" if container.format.name in ("mp4", "mov") else "\0\0\0\0"
        return stream

    def _may_interlace(self, info: MediaInfo, options: SinkOptions, notices: Notices) -> bool:
        if info.field_order == "progressive":
            return False
        if options.codec == "h264" and info.size_hw[0] % 4 == 0 and not self._turns:
            return True
        notices.add("the output is not marked as interlaced: its codec or size does not allow it")
        return False

    def _make_wrapper(self, info: MediaInfo) -> VideoCodecContext:
        """A decoder of raw video, which makes frames of planes without copying them.

        PyAV's own `from_numpy_buffer` loses two rows unless the height is a multiple of four
        (18.1), and cannot mark a frame as interlaced.
        """
        wrapper: VideoCodecContext = CodecContext.create("rawvideo", "r")
        height, width = info.size_hw
        wrapper.height, wrapper.width = (width, height) if self._turns % 2 else (height, width)
        wrapper.pix_fmt = "yuv420p"
        if self._is_interlaced:
            wrapper.field_order = _FIELD_ORDER[info.field_order]
        return wrapper

    def encode(
        self, pixels: UInt8Array, pts: int, color: ColorSpec, *, is_key: bool = False
    ) -> Iterator[Packet[VideoStream]]:
        """Encode one frame.

        Args:
            pixels: (3H/2, W) uint8 I420.
            pts: its time, later than the one before, in units of the source's time base.
            color: how to read the planes.
            is_key: make it a key frame, whether it is time for one or not.
        """
        frame = self._wrap(np.ascontiguousarray(self._turned(pixels)))
        frame.pts = pts
        frame.time_base = self._time_base
        _set_color(frame, color)
        # The wrapper's decoder marks every frame as a key frame, which the encoder would obey.
        frame.pict_type = PictureType.NONE
        if is_key or self._next_key is None or pts >= self._next_key:
            frame.pict_type = PictureType.I
            self._next_key = pts + self._key_interval
        yield from self.stream.encode(frame)

    def flush(self) -> Iterator[Packet[VideoStream]]:
        """The packets that the encoder still holds."""
        yield from self.stream.encode(None)

    def _wrap(self, pixels: UInt8Array) -> VideoFrame:
        # The packet keeps the array alive; the stub only knows bytes, which would be a copy.
        packet: Packet[Stream] = Packet(memoryview(pixels))  # type: ignore[arg-type] # see above
        return self._wrapper.decode(packet)[0]

    def _turned(self, pixels: UInt8Array) -> UInt8Array:
        if not self._turns:
            return pixels
        height, width = pixels.shape[0] * 2 // 3, pixels.shape[1]
        planes = [pixels[:height], *pixels[height:].reshape(2, height // 2, width // 2)]
        turned = [np.rot90(plane, self._turns) for plane in planes]
        new_width = turned[0].shape[1]
        return np.concatenate([plane.reshape(-1, new_width) for plane in turned])


def _codec_options(options: SinkOptions) -> dict[str, str]:
    settings = {"preset": options.preset, "crf": f"{options.crf:g}", "tune": "zerolatency"}
    settings["forced-idr"] = "1"
    if options.codec == "h264" and options.preset == "ultrafast":
        # This preset leaves the deblocking filter out, which costs 0.7 dB and saves 0.2 ms.
        settings["x264-params"] = "deblock=1,0"
    if options.codec == "hevc":
        # One frame thread: several hold pictures back, which live outputs cannot wait for.
        settings["x265-params"] = "log-level=none:bframes=0:frame-threads=1"
    return settings


def _set_color(target: VideoCodecContext | VideoFrame, color: ColorSpec) -> None:
    target.color_range = 2 if color.full_range else 1
    target.colorspace = color.matrix
    target.color_primaries = color.primaries
    target.color_trc = color.transfer
