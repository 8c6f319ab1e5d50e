"""Source: opens a video, decodes it, and passes the packets of its other streams along."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from fractions import Fraction

import av
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from engines.errors import SourceLostError, SourceOpenError
from streamer.frames import CopiedPacket, Frame
from streamer.media_info import MediaInfo, Notices
from streamer.redact import display_name
from streamer.source_clock import PacketClock
from streamer.source_decode import SourceStats, VideoDecoder
from streamer.source_open import SourceOptions, open_container
from streamer.source_probe import copy_streams, describe, pick_video

__all__ = ["Source", "SourceOptions", "SourceStats", "open_source"]

# Extras of copied packets that are part of how they play.
_KEPT_SIDE_DATA = frozenset(
    {
        "skip_samples", "new_extradata", "param_change", "jp_dual_mono", "subtitle_position",
        "webvtt_identifier", "webvtt_settings",
    }
)  # fmt: skip
# After this many read errors in a row the rest of a damaged file is given up.
_MOST_READ_ERRORS = 64
_UNTIMED = ("mpjpeg", "mjpeg", "image2pipe", "jpeg_pipe")
# A stream that ends this much before its stated end was cut off; less is rounding.
_CUT_OFF_S = 0.5


@contextmanager
def open_source(
    source: str | os.PathLike[str],
    *,
    options: SourceOptions | None = None,
    notices: Notices | None = None,
) -> Iterator[Source]:
    """Open a video file or URL.

    Args:
        source: path or URL; credentials in it never reach a message.
        options: how to open and read it.
        notices: takes what cannot be kept; a new one when None.

    Raises:
        SourceOpenError: it cannot be opened, holds no video, or nothing of it can be decoded.
    """
    opened = Source(
        source,
        options=options or SourceOptions(),
        notices=Notices() if notices is None else notices,
    )
    try:
        yield opened
    finally:
        opened.close()


class Source:
    """A video being read; iterate once. For a second pass open it again: the frames are the same.

    One thread may iterate; `close` belongs to the same thread. The first frame is decoded when the
    source is opened, so `info` is complete from the start.
    """

    def __init__(
        self, source: str | os.PathLike[str], *, options: SourceOptions, notices: Notices
    ) -> None:
        self.name = display_name(source)
        self.options = options
        self.notices = notices
        self.stats = SourceStats()
        self._container = open_container(source, options)
        try:
            self._prepare()
        except BaseException:
            self._container.close()
            raise

    def _prepare(self) -> None:
        name, notices = self.name, self.notices
        number = self.options.video_stream
        self._video: VideoStream = pick_video(
            self._container, number=number, name=name, notices=notices
        )
        self._decoder = VideoDecoder(
            self._video, name=name, options=self.options, notices=notices, stats=self.stats,
            arrival=time.monotonic if self._is_untimed_camera() else None,
        )  # fmt: skip
        if self._has_unchecked_parts():
            notices.add(
                f"{name}: the certificate was checked for the playlist only; FFmpeg reads its "
                "segments and its reloads without a check"
            )
        self._copies = copy_streams(self._container, name=name, notices=notices)
        self._kinds = {stream.index: stream.kind for stream in self._copies}
        self._clock = PacketClock(self._on_clock_restart)
        self._items: Generator[Frame | CopiedPacket, None, None] = self._read()
        self._ahead: list[Frame | CopiedPacket] = []
        self._described: object = None
        self.info: MediaInfo = self._read_to_first_frame()

    def _has_unchecked_parts(self) -> bool:
        """HLS over TLS: FFmpeg's demuxer passes no TLS options on to what the playlist names."""
        is_hls = self._container.format.name.startswith("hls")
        return is_hls and self.options.tls_verify and self.name.startswith("https:")

    def _is_untimed_camera(self) -> bool:
        """Pictures over HTTP one by one: FFmpeg would count them as 25 a second."""
        return self.options.mode == "live" and self._container.format.name in _UNTIMED

    def close(self) -> None:
        """Close the input; iteration must not go on afterwards."""
        self._items.close()
        self._container.close()

    def __iter__(self) -> Iterator[Frame | CopiedPacket]:
        """Frames and copied packets, in the order in which the container gives them.

        Raises:
            SourceLostError: the input cannot be read any further, or a live source ended.
        """
        ahead, self._ahead = self._ahead, []
        yield from ahead
        ahead.clear()
        yield from self._items

    def frames(self) -> Iterator[Frame]:
        """Frames only."""
        return (item for item in self if isinstance(item, Frame))

    def _read_to_first_frame(self) -> MediaInfo:
        for item in self._items:
            self._ahead.append(item)
            if isinstance(item, Frame):
                return self._describe(item)
        raise SourceOpenError(
            f"{self.name}: no frame of the video could be decoded "
            f"({self.stats.lost_packets} of {self.stats.packets} packets are damaged)"
        )

    def _describe(self, first: Frame) -> MediaInfo:
        self._described = self._decoder.converter
        return describe(
            self._container,
            self._video,
            self._decoder,
            name=self.name,
            start_pts=first.pts,
            copies=self._copies,
        )

    def _read(self) -> Generator[Frame | CopiedPacket, None, None]:
        for packet in self._packets():
            if packet.stream is self._video:
                for frame in self._decoder.decode(packet):
                    if self._described not in (None, self._decoder.converter):
                        self.info = self._describe(frame)  # a camera that changed its size
                    yield frame
            elif packet.size:
                yield self._copied(packet)
        if self.options.mode == "live":
            raise SourceLostError(f"{self.name}: the connection was closed")
        self._decoder.finish()
        self._check_end()

    def _packets(self) -> Iterator[Packet[Stream]]:
        """All packets, last the empty ones that flush; damage in a file is stepped over."""
        wanted = [self._container.streams[index] for index in (self._video.index, *self._kinds)]
        errors_in_a_row = 0
        while errors_in_a_row < _MOST_READ_ERRORS:
            try:
                for packet in self._demuxed(wanted):
                    errors_in_a_row = 0
                    yield self._shifted(packet)
                return
            except av.InvalidDataError as exc:
                if self.options.mode == "live":
                    raise SourceLostError(f"{self.name}: {exc.strerror}") from None
                self.stats.read_errors += 1
                errors_in_a_row += 1
            except av.FFmpegError as exc:
                reason = exc.strerror or type(exc).__name__
                raise SourceLostError(f"{self.name}: cannot be read: {reason}") from None
        self.stats.ends_early = True
        flush: Packet[Stream] = Packet()
        flush.stream = self._video
        yield flush

    def _demuxed(self, wanted: list[Stream]) -> Iterator[Packet[Stream]]:
        """Packets as the container gives them; a live source without pictures is a lost one.

        When a read runs into its time-out, FFmpeg gives away the packet that it held back until it
        saw the next one, and would then wait as long again. Sound may go on without pictures, and
        so may packets that this decoder cannot read, when a camera changes its codec.
        """
        packets, waited_s = iter(self._container.demux(wanted)), 0.0
        while True:
            asked_s = time.monotonic()
            packet = next(packets, None)
            if packet is None:
                return
            waited_s += time.monotonic() - asked_s
            frames = self.stats.frames
            yield packet
            if self.options.mode == "live" and waited_s >= self.options.read_timeout_s:
                raise SourceLostError(f"{self.name}: no picture for {waited_s:.1f} s")
            # Before its first picture a stream may have to wait long for a key frame.
            is_seen = self.stats.frames > frames or not frames
            if packet.stream is self._video and is_seen:
                waited_s = 0.0

    def _shifted(self, packet: Packet[Stream]) -> Packet[Stream]:
        time = packet.dts if packet.dts is not None else packet.pts
        if time is None:
            return packet
        time_base = _fraction(packet.time_base)
        shift = self._clock.shift(packet.stream_index, time, packet.duration or 0, time_base)
        if shift:
            packet.pts = None if packet.pts is None else packet.pts + shift
            packet.dts = None if packet.dts is None else packet.dts + shift
        return packet

    def _copied(self, packet: Packet[Stream]) -> CopiedPacket:
        return CopiedPacket(
            stream_index=packet.stream_index,
            kind=self._kinds[packet.stream_index],
            data=bytes(packet),
            pts=packet.pts,
            dts=packet.dts,
            duration=packet.duration or 0,
            time_base=_fraction(packet.time_base),
            is_keyframe=packet.is_keyframe,
            side_data=tuple(
                (item.data_type, bytes(item))
                for item in packet.iter_sidedata()
                if item.data_type in _KEPT_SIDE_DATA
            ),
        )

    def _on_clock_restart(self, step_back_s: float) -> None:
        self.notices.add(
            f"{self.name}: the clock steps back by {step_back_s:.3f} s in mid-stream; what follows "
            "is moved to go on without a gap"
        )

    def _check_end(self) -> None:
        stats, info = self.stats, self.info
        duration = self._video.duration
        if duration and stats.end_pts is not None and info.frame_count:
            time_base = _fraction(self._video.time_base or Fraction(1))
            missing_s = float(duration * time_base - (stats.end_pts - info.start_pts) * time_base)
            if stats.packets < info.frame_count and missing_s > _CUT_OFF_S:
                stats.ends_early = True
        if stats.ends_early:
            stated = f" of {info.frame_count}" if info.frame_count else ""
            self.notices.add(
                f"{self.name}: the input ends early, only {stats.frames}{stated} frames are there"
            )


def _fraction(value: Fraction) -> Fraction:
    # PyAV 19 gives its own rational type where 18 gives a Fraction.
    return Fraction(value.numerator, value.denominator)
