"""The last stage of a live job: cut into pieces, log, then hand to the outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from streamer.blender import AnonymizedFrame
from streamer.frames import CopiedPacket
from streamer.key_log import Gap, Record
from streamer.key_log_records import GapReason
from streamer.live_log import LiveLog
from streamer.live_outputs import OutputPlan
from streamer.media_info import MediaInfo
from streamer.sink_live import LiveSink

__all__ = ["LiveWriter"]


class LiveWriter:
    """Writes frames in order. Not thread-safe.

    Args:
        sink: takes everything.
        log: takes the records of each frame before the sink takes the frame.
        plan: names of the pieces, and whether they share a log.
        info: what the frames are like at first.
        segment_s: length of a piece, None for one without an end.
        clock: seconds since 1970 UTC, for names only: it may be set at any time.
    """

    def __init__(
        self,
        sink: LiveSink,
        log: LiveLog,
        plan: OutputPlan,
        info: MediaInfo,
        *,
        segment_s: float | None,
        clock: Callable[[], float],
    ) -> None:
        self._sink, self._log, self._plan, self._info = sink, log, plan, info
        self._segment_s, self._clock = segment_s, clock
        self._start_pts: int | None = None
        self._is_new_video = True
        self._was_lost = False
        self._last: AnonymizedFrame | None = None
        self._last_real: AnonymizedFrame | None = None
        self.skipped = 0

    def change(self, info: MediaInfo) -> None:
        """What comes from here on is different; a new piece begins with it."""
        self._info, self._is_new_video = info, True

    def lost(self) -> None:
        """The source was away until the next frame."""
        self._was_lost = True

    def copy(self, packet: CopiedPacket) -> None:
        """Pass a packet on."""
        self._sink.copy(packet)

    def put(
        self,
        frame: AnonymizedFrame,
        records: Sequence[Record],
        *,
        arrived_s: float | None,
        is_made: bool = False,
    ) -> bool:
        """Write one frame.

        Args:
            frame: the next one.
            records: what the log must hold of it.
            arrived_s: when it came from the camera.
            is_made: it is a stub, not a picture of the camera.

        Returns:
            False if it was left out because a made picture stands at its time already.

        Raises:
            KeyLogError: the log cannot be written.
            SinkError: the encoder failed.
        """
        if self._last is not None and frame.pts <= self._last.pts:
            self.skipped += 1
            return False
        if not is_made:
            self._note_gap(frame)
        if self._is_due(frame):
            self._begin(frame)
        self._log.add(records, frame.pts)
        self._sink.write(frame, arrived_s=arrived_s)
        self._last = frame
        return True

    def _note_gap(self, frame: AnonymizedFrame) -> None:
        last = self._last_real
        if last is not None and (self._was_lost or frame.index != last.index + 1):
            reason: GapReason = "source lost" if self._was_lost else "frames dropped"
            self._log.note(Gap(last.pts, frame.pts, reason))
        self._was_lost, self._last_real = False, frame

    def _is_due(self, frame: AnonymizedFrame) -> bool:
        if self._start_pts is None or self._is_new_video or self._sink.wants_cut:
            return True
        age_s = (frame.pts - self._start_pts) * frame.time_base
        return self._segment_s is not None and age_s >= self._segment_s

    def _begin(self, frame: AnonymizedFrame) -> None:
        plan, info = self._plan, self._info
        label = plan.names.next(self._clock())
        # Times in files begin at zero, unless a log for all of them needs those of the run.
        shift = 0 if plan.shared_log else -frame.pts
        if not plan.shared_log or self._is_new_video:
            pattern = plan.key_logs
            path = None if pattern is None else pattern.of(self._log_label(label))
            self._log.begin(path, info, shift=shift)
        self._sink.cut(info, label=label, start_pts=frame.pts, shift=shift)
        self._start_pts, self._is_new_video = frame.pts, False

    def _log_label(self, label: str) -> str:
        if not self._plan.shared_log:
            return label
        return "" if self._start_pts is None else label
