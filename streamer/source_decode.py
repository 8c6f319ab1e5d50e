"""Decoding of one video stream, going on after packets that cannot be decoded."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction

import av
from av.packet import Packet
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from engines.errors import SourceOpenError
from streamer.frames import Frame
from streamer.media_info import Notices
from streamer.source_clock import FrameClock
from streamer.source_convert import FrameConverter
from streamer.source_open import SourceOptions

__all__ = ["SourceStats", "VideoDecoder"]

# Undecodable packets at the start after which we stop looking for a first frame.
_MOST_HOPELESS_PACKETS = 500
# Frames without a time after which the whole stream counts as having none.
_MOST_WAITING = 16
# Fewer packets than this say nothing about how much of a video is damaged.
_FEWEST_TO_JUDGE = 20
_DEFAULT_RATE_HZ = Fraction(25)
_ARRIVAL_BASE = Fraction(1, 90000)


@dataclass(slots=True)
class SourceStats:
    """What happened while reading; complete once the iteration has ended.

    Attributes:
        frames: frames yielded.
        packets: video packets read.
        lost_packets: video packets that could not be decoded.
        damaged_frames: frames that the decoder repaired or marked as corrupt.
        read_errors: errors of the container reader.
        ends_early: the file holds less than its header promises.
        end_pts: end of the last frame in pts units, None when its duration is unknown.
    """

    frames: int = 0
    packets: int = 0
    lost_packets: int = 0
    damaged_frames: int = 0
    read_errors: int = 0
    ends_early: bool = False
    end_pts: int | None = None


class VideoDecoder:
    """Packets of one video stream to frames with strictly increasing times. Not thread-safe.

    Args:
        stream: the video; its decoder is set up here.
        name: source as it may be shown.
        options: how to read.
        notices: takes what is lost.
        stats: counters to keep.
        arrival: clock in seconds that gives frames the time of their arrival, for streams that
            carry none; None to take the stream's own.
    """

    def __init__(
        self,
        stream: VideoStream,
        *,
        name: str,
        options: SourceOptions,
        notices: Notices,
        stats: SourceStats,
        arrival: Callable[[], float] | None = None,
    ) -> None:
        self._arrival = arrival
        self._start_s = 0.0
        self._stream = stream
        self._name = name
        self._options = options
        self._notices = notices
        self._stats = stats
        self.rate_hz = frame_rate(stream)
        self.time_base = stream.time_base or Fraction(1, 90000)
        self.first: VideoFrame | None = None
        self.converter: FrameConverter | None = None
        self._clock = FrameClock(self.time_base, 1 / _DEFAULT_RATE_HZ)
        self._untimed = False
        self._waiting: list[VideoFrame] = []
        stream.codec_context.thread_count = options.decoder_threads or min(os.cpu_count() or 1, 4)
        # Slice threads: frame threads cost 5 to 40 % more CPU here, hold frames back and, when
        # packets are damaged, report the error of another frame.
        stream.codec_context.thread_type = "SLICE"

    def decode(self, packet: Packet[Stream]) -> Iterator[Frame]:
        """Frames that come out after this packet; an empty packet flushes the decoder.

        Raises:
            SourceOpenError: the video is encrypted, or its start cannot be decoded at all.
        """
        if packet.size:
            self._stats.packets += 1
            if packet.has_sidedata("encryption_info"):
                raise SourceOpenError(f"{self._name}: the video is encrypted, it cannot be decoded")
        for frame in self._decode(packet):
            yield from self._started(frame)
        if not packet.size:
            yield from self._start()

    def _decode(self, packet: Packet[Stream]) -> list[VideoFrame]:
        try:
            return self._stream.decode(packet)
        except av.DecoderNotFoundError:
            raise SourceOpenError(f"{self._name}: no decoder for the video") from None
        except av.EOFError:
            return []
        except (av.FFmpegError, ValueError):
            self._stats.lost_packets += 1
            if self.first is None and self._stats.lost_packets >= _MOST_HOPELESS_PACKETS:
                raise SourceOpenError(
                    f"{self._name}: none of the first {self._stats.packets} packets of the video "
                    "can be decoded"
                ) from None
            return []

    def _started(self, decoded: VideoFrame) -> Iterator[Frame]:
        """Hold frames back until one has a time: cameras leave out the first ones."""
        if self.converter is not None:
            yield self._frame(decoded)
            return
        self._waiting.append(decoded)
        if (
            self._arrival is not None
            or _time_of(decoded) is not None
            or len(self._waiting) >= _MOST_WAITING
        ):
            yield from self._start()

    def _start(self) -> Iterator[Frame]:
        waiting, self._waiting = self._waiting, []
        if not waiting:
            return
        known = _time_of(waiting[-1])
        self._set_clock(untimed=known is None)
        if known is not None:
            step = round(1 / ((self.rate_hz or _DEFAULT_RATE_HZ) * self.time_base))
            for back, frame in enumerate(reversed(waiting)):
                frame.pts = known - back * step
        self.first = waiting[0]
        self._announce_losses(self.first)
        self.converter = FrameConverter(
            self.first, name=self._name, notices=self._notices, scaler=self._options.scaler
        )
        for frame in waiting:
            yield self._frame(frame)

    def finish(self) -> None:
        """Say what was lost.

        Raises:
            SourceOpenError: most of the video could not be decoded, so what came out is no picture
                of what was recorded.
        """
        stats = self._stats
        if stats.packets >= _FEWEST_TO_JUDGE and stats.lost_packets * 2 > stats.packets:
            raise SourceOpenError(
                f"{self._name}: {stats.lost_packets} of {stats.packets} packets of the video "
                "cannot be decoded; it is damaged or encrypted"
            )
        if stats.lost_packets:
            self._notices.add(
                f"{self._name}: {stats.lost_packets} damaged packets of the video were skipped; "
                "the other frames keep their times"
            )
        if stats.damaged_frames:
            self._notices.add(
                f"{self._name}: {stats.damaged_frames} frames are damaged, the decoder repaired "
                "them as well as it could"
            )

    def _frame(self, decoded: VideoFrame) -> Frame:
        stats, converter = self._stats, self.converter
        if converter is None:
            raise ValueError("no frame before the start")
        stats.damaged_frames += decoded.is_corrupt
        index = stats.frames
        stats.frames += 1
        pts = self._pts(decoded, index)
        duration = 1 if self._untimed else decoded.duration
        stats.end_pts = pts + duration if duration else None
        if self._options.mode == "live" and not converter.fits(decoded):
            # A file keeps its first size; a camera that was set to another one is followed.
            self.first = decoded
            self.converter = converter = FrameConverter(
                decoded, name=self._name, notices=self._notices
            )
        pixels = converter.convert(decoded)
        return Frame(pixels, converter.color, pts, self.time_base, index)

    def _pts(self, decoded: VideoFrame, index: int) -> int:
        if self._arrival is not None:
            return self._clock.next(round((self._arrival() - self._start_s) / self.time_base))
        return index if self._untimed else self._clock.next(decoded.pts, decoded.dts)

    def _announce_losses(self, first: VideoFrame) -> None:
        if self._stream.metadata.get("alpha_mode") == "1":
            self._notices.add(f"{self._name}: transparency is not kept")
        if first.side_data.get("A53_CC") is not None:
            self._notices.add(f"{self._name}: closed captions inside the video are not kept")

    def _set_clock(self, *, untimed: bool) -> None:
        if self._arrival is not None:
            self._start_s, self.time_base = self._arrival(), _ARRIVAL_BASE
            self._clock = FrameClock(_ARRIVAL_BASE, 1 / _DEFAULT_RATE_HZ)
            return
        self._untimed = untimed
        if untimed:
            # The header inside such a stream knows better than FFmpeg's guess of 25.
            own = self._stream.codec_context.framerate
            rate = self._options.rate_hz or own or self.rate_hz or _DEFAULT_RATE_HZ
            self.rate_hz = Fraction(rate.numerator, rate.denominator)
            self.time_base = 1 / self.rate_hz
            self._notices.add(
                f"{self._name}: the video carries no times, taken as {float(self.rate_hz):g} "
                "frames a second"
            )
        else:
            if self._options.rate_hz is not None:
                self._notices.add(f"{self._name}: carries its own times, so the rate is ignored")
            self._clock = FrameClock(self.time_base, 1 / (self.rate_hz or _DEFAULT_RATE_HZ))


def frame_rate(stream: VideoStream) -> Fraction | None:
    """The average frame rate in Hz, None when it is unknown or nonsense."""
    for rate in (stream.average_rate, stream.guessed_rate, stream.codec_context.framerate):
        if rate and 0 < rate <= 1000:
            return Fraction(rate.numerator, rate.denominator)
    return None


def _time_of(frame: VideoFrame) -> int | None:
    return frame.pts if frame.pts is not None else frame.dts
