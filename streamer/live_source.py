"""LiveSource: a camera as one endless video, whatever happens to the connection."""

from __future__ import annotations

import dataclasses
import gc
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, TypeAlias

from engines.errors import MediaError, SourceLostError
from streamer.backoff import BackoffOptions
from streamer.frames import CopiedPacket, Frame
from streamer.interrupt import StopRequest
from streamer.live_clock import LiveClock
from streamer.media_info import MediaInfo, Notices
from streamer.memory import give_back_memory
from streamer.reconnect_waits import ReconnectWaits
from streamer.source import Source, SourceOptions

__all__ = ["FormatChanged", "LiveItem", "LiveOptions", "LiveSource", "Reconnected"]

_VIDEO: Final = -1  # its place in the clock, beside the numbers of the copied streams
# A paced source that is this late is not caught up with: its frames are wanted when they come.
_LATEST_S: Final = 1.0
# Frames after a jump of the clock may lie nearer; Matroska would give both the same time.
_SHORTEST_S: Final = Fraction(1, 1000)
# A connection that held for so long was a good one: after it the next attempt need not wait.
_STEADY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The connection was lost and is back; tracks do not survive that.

    Attributes:
        gap_s: wall time without pictures.
        attempts: how many attempts it took.
        reason: why it was lost, without credentials.
    """

    gap_s: float
    attempts: int
    reason: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class FormatChanged:
    """What comes from here on is of another size, colour, or has other sound.

    Attributes:
        info: the facts; the time base is still that of the first connection.
    """

    info: MediaInfo


LiveItem: TypeAlias = Frame | CopiedPacket | Reconnected | FormatChanged


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How a camera is read.

    Attributes:
        source: connection options.
        backoff: waits between attempts.
        refused_wait_s: longest of them while the camera refuses user and password: many lock an
            account after a few attempts.
        give_up_s: time without an answer after which the source counts as lost, None for never.
        is_file: the source is a file that plays a camera: its end is the end.
        is_paced: frames are held back until their own time; for files, and for sources that give
            many at once, such as HLS.
        waits: the first connection is tried as often as all others, instead of once.
    """

    source: SourceOptions
    backoff: BackoffOptions = dataclasses.field(default_factory=BackoffOptions)
    refused_wait_s: float = 30.0
    give_up_s: float | None = None
    is_file: bool = False
    is_paced: bool = False
    waits: bool = False


class LiveSource:
    """Reads a camera for ever: on a live source the end of the stream means a lost connection.

    Times go on monotonically in the time base of the first connection: after a gap by the wall
    time that has passed. One thread iterates.

    Args:
        url: the camera.
        options: how to read it.
        notices: takes what cannot be kept.
        stop: ends the iteration.
        now: monotonic clock in seconds.
        sleep: waits for some seconds.
        on_lost: told why, each time the connection is lost or an attempt to reconnect fails.

    Raises:
        SourceOpenError: the first connection fails; a wrong address should be told at once.
        SourceLostError: the camera did not answer in time, or before somebody asked to stop.
    """

    def __init__(
        self,
        url: str,
        *,
        options: LiveOptions,
        notices: Notices,
        stop: StopRequest,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        on_lost: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._url = url
        self._options = options
        self._notices = notices
        self._stop = stop
        self._now = now
        self._on_lost = on_lost
        self._waits = ReconnectWaits(
            url, backoff=options.backoff, refused_wait_s=options.refused_wait_s,
            stop=stop, now=now, sleep=sleep,
        )  # fmt: skip
        self._clock = LiveClock()
        self._last_s: Fraction | None = None
        self._last_wall_s = now()
        self._index = 0
        self._pace_start_s: float | None = None
        self._first: Source | None = self._first_connection()
        self.info: MediaInfo = self._first.info
        self.reconnects = 0
        if not options.is_file:
            self._clock.resume(Fraction(0))

    def _first_connection(self) -> Source:
        if not self._options.waits:
            return self._connect()
        source, _ = self._reconnect()
        if source is None:
            raise SourceLostError("stopped before the camera answered")
        return source

    def _connect(self) -> Source:
        return Source(self._url, options=self._options.source, notices=self._notices)

    def __iter__(self) -> Iterator[LiveItem]:
        """Frames, packets and reconnections, until somebody asks to stop.

        Raises:
            SourceLostError: the camera did not come back in time.
        """
        source, self._first = self._first, None
        reason = ""
        while not self._stop.is_set():
            if source is None:
                lost_s = self._last_wall_s
                source, attempts = self._reconnect()
                if source is None:
                    return
                self._resume()
                self.reconnects += 1
                yield Reconnected(self._now() - lost_s, attempts, reason)
            began_s = self._now()
            try:
                yield from self._read(source)
            except MediaError as exc:
                reason = str(exc)
                self._on_lost(reason)
                self._notices.add(f"{exc}; trying to reconnect")
            finally:
                source.close()
            source = None
            # PyAV's containers and streams refer to each other: without this, decoders and their
            # threads stay until Python happens to look, and a bad line makes hundreds of them.
            gc.collect()
            give_back_memory()
            if self._options.is_file:
                return
            if self._now() - began_s >= _STEADY_S:
                self._waits.reset()
            else:
                # One that hangs up right after its first picture must not be hammered.
                self._waits.after(SourceLostError)

    def close(self) -> None:
        """Close the first connection if nobody has iterated over it."""
        first, self._first = self._first, None
        if first is not None:
            first.close()

    def _read(self, source: Source) -> Iterator[LiveItem]:
        known: MediaInfo | None = None
        for item in source:
            if source.info is not known:
                known = source.info
                if (info := self._adopted(known)) is not None:
                    yield FormatChanged(info)
            placed = self._placed(item)
            if isinstance(placed, Frame) and (self._options.is_file or self._options.is_paced):
                self._keep_time(placed)
            yield placed
            if self._stop.is_set():
                return

    def _adopted(self, info: MediaInfo) -> MediaInfo | None:
        """The facts from here on, None when they are what they were."""
        info = dataclasses.replace(info, time_base=self.info.time_base)
        if _outline(info) == _outline(self.info):
            return None
        self.info = info
        return info

    def _reconnect(self) -> tuple[Source | None, int]:
        attempts = 0
        while not self._stop.is_set():
            attempts += 1
            try:
                return self._connect(), attempts
            except MediaError as exc:  # also one that is lost before its first picture
                self._on_lost(str(exc))
                limit_s = self._options.give_up_s
                waited_s = self._now() - self._last_wall_s
                if limit_s is not None and waited_s > limit_s:
                    raise SourceLostError(
                        f"the camera has not answered for {waited_s:.0f} s: {exc}"
                    ) from None
                kind = type(exc)  # the error itself would keep the connection alive
            gc.collect(1)  # it may have had a decoder, too; a full search costs 50 ms each time
            self._waits.after(kind)
        return None, attempts

    def _keep_time(self, frame: Frame) -> None:
        """Hold a frame back until its time has come."""
        if self._pace_start_s is None:
            self._pace_start_s = self._now() - frame.time_s
        wait_s = self._pace_start_s + frame.time_s - self._now()
        if wait_s < -_LATEST_S and not self._options.is_file:
            self._pace_start_s = self._now() - frame.time_s
        self._waits.wait(wait_s)

    def _resume(self) -> None:
        """Let the times go on from where they were, by the wall time that has passed."""
        gap_s = Fraction(max(self._now() - self._last_wall_s, 0.0)).limit_denominator(1000)
        self._clock.resume((self._last_s or Fraction(0)) + gap_s)
        self._pace_start_s = None

    def _placed(self, item: Frame | CopiedPacket) -> Frame | CopiedPacket:
        now_s = self._now()
        if isinstance(item, Frame):
            self._last_wall_s = now_s
            return self._placed_frame(item, now_s)
        time = item.dts if item.dts is not None else item.pts
        if time is None:
            return item
        offset_s = self._clock.offset_s(item.stream_index, time * item.time_base, now_s)
        shift = round(offset_s / item.time_base)
        return dataclasses.replace(
            item,
            pts=None if item.pts is None else item.pts + shift,
            dts=None if item.dts is None else item.dts + shift,
        )

    def _placed_frame(self, frame: Frame, now_s: float) -> Frame:
        base, time_s = self.info.time_base, frame.pts * frame.time_base
        time_s += self._clock.offset_s(_VIDEO, time_s, now_s)
        pts = round(time_s / base)
        if self._last_s is not None:
            pts = max(pts, int(self._last_s / base) + math.ceil(_SHORTEST_S / base))
        self._last_s = pts * base
        index, self._index = self._index, self._index + 1
        return Frame(frame.pixels, frame.color, pts, base, index)


def _outline(info: MediaInfo) -> tuple[object, ...]:
    """What an encoder or a container would have to be opened anew for."""
    streams = tuple((one.index, one.codec_name, one.time_base) for one in info.copy_streams)
    return info.size_hw, info.sar, info.color, info.display_matrix, info.field_order, streams
