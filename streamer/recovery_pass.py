"""The pass of a recovery over the video: frames are restored, pictured and written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from streamer.channel import Channel
from streamer.frames import CopiedPacket, Frame
from streamer.interrupt import StopRequest
from streamer.key_log import Face
from streamer.media_info import Notices
from streamer.progress import ProgressSink, Tick
from streamer.recovery_log import PlacedRecords
from streamer.recovery_request import RecoveryMode
from streamer.recovery_samples import Sampler
from streamer.restorer import RecoveredFrame, Restorer, pictured_tracks
from streamer.runner import StageRunner
from streamer.sink import SinkOptions
from streamer.sink_recovery import RecoverySink
from streamer.source import Source, open_source

__all__ = ["PassReport", "RecordLookup", "RecoveryPass"]


class RecordLookup(Protocol):
    """Whoever knows which faces are in a frame."""

    def of(self, frame: Frame) -> PlacedRecords:
        """The records of a frame; frames come in order."""
        ...


@dataclass(frozen=True, slots=True)
class PassReport:
    """What a pass did.

    Attributes:
        frames: frames seen.
        touched: of these, in how many something was brought back.
    """

    frames: int
    touched: int


@dataclass(frozen=True, slots=True)
class _Restoring:
    """A frame on its way to the writer."""

    frame: Frame
    records: PlacedRecords
    pictured: tuple[Face, ...]
    result: Future[RecoveredFrame]


@dataclass(slots=True)
class RecoveryPass:
    """One pass; call `run` once.

    Attributes:
        source: the anonymised video.
        out: where the recovered video goes, None for pictures only.
        options: how it is encoded.
        restorer: brings faces back.
        mode: in which way.
        lookup: knows which.
        sampler: takes pictures, or None.
        notices: takes what could not be kept.
        workers: threads that restore.
        stop: ends the pass early and in good order.
        progress: is told about each frame.
    """

    source: Path
    out: Path | None
    options: SinkOptions
    restorer: Restorer
    mode: RecoveryMode
    lookup: RecordLookup
    sampler: Sampler | None
    notices: Notices
    workers: int
    stop: StopRequest
    progress: ProgressSink
    _frames: int = 0
    _touched: int = 0
    _total: int | None = None

    def run(self) -> PassReport:
        """Go through the video.

        Raises:
            AnonymizerError: whatever went wrong; no output is left then.
        """
        with open_source(self.source, notices=self.notices) as source:
            self._total = source.info.frame_count
            if self.out is None:
                self._pump(source, None)
                return PassReport(self._frames, self._touched)
            sink = RecoverySink(self.out, source.info, options=self.options, notices=self.notices)
            try:
                self._pump(source, sink)
                sink.close(end_pts=None if self.stop.is_set() else source.stats.end_pts)
            except BaseException:
                sink.abort()
                raise
        return PassReport(self._frames, self._touched)

    def _pump(self, source: Source, sink: RecoverySink | None) -> None:
        channel: Channel[_Restoring | CopiedPacket] = Channel(2 * self.workers + 2)
        with ThreadPoolExecutor(self.workers, thread_name_prefix="restore") as pool:

            def decode() -> None:
                for item in self._until_stop(source):
                    if isinstance(item, Frame):
                        work = self._looked_up(item, pool, is_written=sink is not None)
                        if work is not None:
                            channel.send(work)
                    elif sink is not None:
                        channel.send(item)
                channel.close()

            def write() -> None:
                for item in channel:
                    if isinstance(item, _Restoring):
                        self._finish(item, sink)
                    elif sink is not None:
                        sink.copy(item)

            runner = StageRunner(channel)
            runner.add("decode", decode)
            runner.add("write", write)
            runner.run()

    def _until_stop(self, source: Source) -> Iterator[Frame | CopiedPacket]:
        for item in source:
            if self.stop.is_set():
                return
            yield item

    def _finish(self, item: _Restoring, sink: RecoverySink | None) -> None:
        recovered = item.result.result()
        if self.sampler is not None:
            self.sampler.take(item.frame, recovered, item.records, item.pictured)
        if sink is not None:
            sink.write_recovered(recovered)

    def _looked_up(
        self, frame: Frame, pool: ThreadPoolExecutor, *, is_written: bool
    ) -> _Restoring | None:
        """A frame handed to the pool, or None if nobody needs it."""
        records = self.lookup.of(frame)
        returning = self._returning(records)
        self._frames += 1
        self._touched += bool(returning)
        self.progress.update(Tick("recover", self._frames, self._total))
        pictured: tuple[Face, ...] = ()
        if self.sampler is not None:
            self.sampler.count(frame, records, returning)
            seen = [face for face in records.faces if face.track_id in returning]
            pictured = self.sampler.wants(records, seen)
        if not is_written and not pictured:
            return None
        return _Restoring(frame, records, pictured, pool.submit(self._restore, frame, records))

    def _returning(self, records: PlacedRecords) -> Sequence[int]:
        """Tracks that are brought back in a frame."""
        if self.mode == "sealed":
            return [patch.track_id for patch in records.patches]
        pictured = pictured_tracks(records) if self.mode == "assisted" else ()
        return [face.track_id for face in self.restorer.wanted(records.faces, pictured)]

    def _restore(self, frame: Frame, records: PlacedRecords) -> RecoveredFrame:
        if self.mode == "sealed":
            return self.restorer.unseal(frame, records)
        if self.mode == "assisted":
            return self.restorer.assist(frame, records)
        return self.restorer.generate(frame, records.faces)
