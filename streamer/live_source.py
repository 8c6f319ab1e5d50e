"""LiveSource: a camera as one endless video, whatever happens to the connection."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

import cv2
import numpy as np

from engines.arrays import UInt8Array
from engines.errors import MediaError, SourceLostError, SourceOpenError
from streamer.backoff import Backoff, BackoffOptions
from streamer.color import planes_of
from streamer.frames import CopiedPacket, Frame
from streamer.interrupt import StopRequest
from streamer.media_info import MediaInfo, Notices
from streamer.source import Source, SourceOptions

__all__ = ["LiveItem", "LiveOptions", "LiveSource", "Reconnected"]


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The connection was lost and is back; tracks do not survive that.

    Attributes:
        gap_s: wall time without pictures.
        attempts: how many attempts it took.
    """

    gap_s: float
    attempts: int


LiveItem: TypeAlias = Frame | CopiedPacket | Reconnected


@dataclass(frozen=True, slots=True)
class LiveOptions:
    """How a camera is read.

    Attributes:
        source: connection options.
        backoff: waits between attempts.
        give_up_s: time without an answer after which the source counts as lost, None for never.
        is_file: the source is a file that plays a camera: its frames come at their own times, and
            its end is the end.
    """

    source: SourceOptions
    backoff: BackoffOptions = dataclasses.field(default_factory=BackoffOptions)
    give_up_s: float | None = None
    is_file: bool = False


class LiveSource:
    """Reads a camera for ever: on a live source the end of the stream means a lost connection.

    Frames keep the size and time base of the first connection, and their times go on
    monotonically: after a gap by the wall time that has passed. One thread iterates.

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
        self._on_lost = on_lost
        self._options = options
        self._notices = notices
        self._stop = stop
        self._now = now
        self._sleep = sleep
        self._shift_s = Fraction(0)
        self._last_s: Fraction | None = None
        self._last_wall_s = now()
        self._index = 0
        self._start_s: float | None = None
        self._resume_at_s = Fraction(0)
        self._shift_is_known = True
        self._first: Source | None = self._connect()
        self.info: MediaInfo = self._first.info
        self.reconnects = 0

    def _connect(self) -> Source:
        return Source(self._url, options=self._options.source, notices=self._notices)

    def __iter__(self) -> Iterator[LiveItem]:
        """Frames, packets and reconnections, until somebody asks to stop.

        Raises:
            SourceLostError: the camera did not come back in time.
        """
        source, self._first = self._first, None
        while not self._stop.is_set():
            if source is None:
                lost_s = self._last_wall_s
                source, attempts = self._reconnect()
                if source is None:
                    return
                self._resume()
                self.reconnects += 1
                yield Reconnected(self._now() - lost_s, attempts)
            try:
                for item in source:
                    placed = self._placed(item)
                    if self._options.is_file and isinstance(placed, Frame):
                        self._keep_time(placed)
                    yield placed
                    if self._stop.is_set():
                        break
            except MediaError as exc:
                self._notices.add(f"{exc}; trying to reconnect")
                self._on_lost(str(exc))
            finally:
                source.close()
            if self._options.is_file:
                return
            source = None

    def _reconnect(self) -> tuple[Source | None, int]:
        backoff, attempts = Backoff(self._options.backoff), 0
        while not self._stop.is_set():
            attempts += 1
            try:
                return self._connect(), attempts
            except SourceOpenError as exc:
                self._on_lost(str(exc))
                limit_s = self._options.give_up_s
                waited_s = self._now() - self._last_wall_s
                if limit_s is not None and waited_s > limit_s:
                    raise SourceLostError(
                        f"the camera has not answered for {waited_s:.0f} s: {exc}"
                    ) from None
                self._wait(backoff.next_wait_s())
        return None, attempts

    def _wait(self, wait_s: float) -> None:
        """Sleep in short steps, so that a stop is noticed."""
        end_s = self._now() + wait_s
        while (left_s := end_s - self._now()) > 0 and not self._stop.is_set():
            self._sleep(min(left_s, 0.1))

    def _keep_time(self, frame: Frame) -> None:
        """Hold a frame of a file back until its time has come."""
        if self._start_s is None:
            self._start_s = self._now() - frame.time_s
        self._wait(self._start_s + frame.time_s - self._now())

    def _resume(self) -> None:
        """Let the times go on from where they were, by the wall time that has passed."""
        gap_s = Fraction(max(self._now() - self._last_wall_s, 0.0)).limit_denominator(1000)
        self._resume_at_s = (self._last_s or Fraction(0)) + gap_s
        self._shift_is_known = False

    def _placed(self, item: Frame | CopiedPacket) -> Frame | CopiedPacket:
        self._last_wall_s = self._now()
        if not self._shift_is_known:
            start = item.pts if item.pts is not None else 0
            self._shift_s = self._resume_at_s - start * item.time_base
            self._shift_is_known = True
        if isinstance(item, CopiedPacket):
            shift = round(self._shift_s / item.time_base)
            return dataclasses.replace(
                item,
                pts=None if item.pts is None else item.pts + shift,
                dts=None if item.dts is None else item.dts + shift,
            )
        return self._placed_frame(item)

    def _placed_frame(self, frame: Frame) -> Frame:
        base = self.info.time_base
        time_s = frame.pts * frame.time_base + self._shift_s
        pts = round(time_s / base)
        if self._last_s is not None:
            pts = max(pts, int(self._last_s / base) + 1)
        self._last_s = pts * base
        pixels = _fitted(frame.pixels, self.info.size_hw)
        index, self._index = self._index, self._index + 1
        return Frame(pixels, frame.color, pts, base, index)


def _fitted(pixels: UInt8Array, size_hw: tuple[int, int]) -> UInt8Array:
    """An I420 picture at another size; the same one if it fits already."""
    height, width = size_hw
    if pixels.shape == (height * 3 // 2, width):
        return pixels
    out = np.empty((height * 3 // 2, width), np.uint8)
    for plane, target in zip(planes_of(pixels), planes_of(out), strict=True):
        size = (target.shape[1], target.shape[0])
        target[:] = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    return out
