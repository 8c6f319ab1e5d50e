"""The live job: a camera in, anonymised video out, a few frames later."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from engines.arrays import Float32Array
from streamer.blender import BlendResult
from streamer.camera_status import CameraStatus
from streamer.channel import Channel
from streamer.config import AppConfig
from streamer.file_job import worker_count
from streamer.frames import CopiedPacket, Frame
from streamer.interrupt import StopRequest
from streamer.job_log import JobLog, open_job_log
from streamer.job_options import analysis_options, face_finder, make_renderer, sink_options
from streamer.live_source import LiveItem, LiveOptions, LiveSource, Reconnected
from streamer.live_tracks import LiveTracks, PlannedFrame
from streamer.media_info import Notices
from streamer.models import Models, load_models
from streamer.progress import ProgressSink, Tick
from streamer.redact import display_name
from streamer.renderer import RenderedFrame
from streamer.runner import StageRunner
from streamer.sink import Sink, open_sink

__all__ = ["LiveReport", "LiveRequest", "anonymize_live"]

# Frames that wait for the detector. More would only be older when they come out.
_WAITING: Final = 4
_MOST_LATENCIES: Final = 100_000


@dataclass(frozen=True, slots=True)
class LiveRequest:
    """What goes where.

    Attributes:
        url: the camera.
        out: path of the output.
        keylog: path of the key log.
        options: how the camera is read.
        overwrite: replace existing outputs.
    """

    url: str
    out: Path
    keylog: Path
    options: LiveOptions
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class LiveReport:
    """What a run did.

    Attributes:
        frames: frames written.
        dropped: frames dropped before detection, because the machine was too slow.
        reconnects: how often the connection was lost and came back.
        tracks: tracks found.
        replaced: faces that got a synthetic one.
        covered: faces that were pixelated or filled.
        latency_p50_s: median time from the arrival of a frame to its writing.
        latency_p95_s: 95th percentile of the same.
        keylog: the key log, None when irreversible.
        warnings: everything that could not be kept.
    """

    frames: int
    dropped: int
    reconnects: int
    tracks: int
    replaced: int
    covered: int
    latency_p50_s: float
    latency_p95_s: float
    keylog: Path | None
    warnings: tuple[str, ...]


class _LiveJob:
    """Three threads: read, process, write."""

    def __init__(
        self,
        source: LiveSource,
        sink: Sink,
        log: JobLog,
        models: Models,
        config: AppConfig,
        notices: Notices,
        *,
        progress: ProgressSink,
        status: CameraStatus,
        now: Callable[[], float],
    ) -> None:
        info = source.info
        self._source, self._sink, self._log = source, sink, log
        self._status = status
        self._progress, self._now = progress, now
        self._finder = face_finder(config, models, info)
        options = analysis_options(config, models, workers=1, frame_count=None)
        self.tracks = LiveTracks(
            options, models.embedder, depth_frames=config.cover.look_back_frames
        )
        self._targets: dict[int, Float32Array] = {}
        self._renderer = make_renderer(
            config,
            models,
            targets=self._targets,
            originals=self.tracks.embeddings,
            seal=log.is_sealing,
            notices=notices,
            observer=status,
        )
        self._arrived_s: dict[int, float] = {}
        self.incoming: Channel[LiveItem] = Channel(
            _WAITING, drop_oldest=True, may_drop=lambda item: isinstance(item, Frame)
        )
        self._outgoing: Channel[RenderedFrame | CopiedPacket] = Channel(8)
        self.latencies_s: list[float] = []
        self.replaced = 0
        self.covered = 0

    def run(self) -> None:
        """Until the source ends or somebody asks to stop."""
        runner = StageRunner(self.incoming, self._outgoing)
        runner.add("read", self._read)
        runner.add("process", self._process)
        runner.add("write", self._write)
        runner.run()

    def _read(self) -> None:
        for item in self._source:
            if isinstance(item, Frame):
                self._arrived_s[item.index] = self._now()
                self._status.arrived()
            elif isinstance(item, Reconnected):
                self._status.reconnected()
            self.incoming.send(item)
        self.incoming.close()

    def _process(self) -> None:
        for item in self.incoming:
            if isinstance(item, CopiedPacket):
                self._outgoing.send(item)
            elif isinstance(item, Reconnected):
                # Nobody knows what happened in between: all tracks end.
                self._send(self.tracks.flush())
            else:
                planned = self.tracks.push(item, self._finder.find(item))
                self._send([] if planned is None else [planned])
        self._send(self.tracks.flush())
        self._outgoing.close()

    def _send(self, planned: list[PlannedFrame]) -> None:
        for one in planned:
            self._update_identities()
            self._outgoing.send(self._renderer.render(one.frame, one.plan))

    def _update_identities(self) -> None:
        for track_id, identity in self.tracks.identities.items():
            self._log.assign(track_id, identity)
            if identity not in self._targets and identity in self.tracks.embeddings:
                original = self.tracks.embeddings[identity]
                self._targets[identity] = self._log.protect(identity, original)
        for track_id in self.tracks.ended:
            self._log.forget(track_id)
        self.tracks.ended.clear()
        for identity in [key for key in self._targets if key not in self.tracks.embeddings]:
            del self._targets[identity]

    def _write(self) -> None:
        for item in self._outgoing:
            if isinstance(item, CopiedPacket):
                self._sink.copy(item)
                continue
            result = item.result
            self._log.add(item.records, result.frame.pts)
            self._sink.write(result.frame)
            self.replaced += len(result.replaced)
            self.covered += len(result.filled)
            self._tell(result, self._note_latency(result.frame.index))
            faces = len(result.replaced) + len(result.filled)
            self._progress.update(
                Tick("live", self._sink.frames_written, None, faces, self.tracks.track_count)
            )

    def _tell(self, result: BlendResult, latency_s: float | None) -> None:
        status = self._status
        status.put_out(result, latency_s)
        status.queues({"detect": len(self.incoming), "write": len(self._outgoing)})
        status.totals(dropped=self.incoming.dropped, key_log_bytes=self._log.size_bytes)

    def _note_latency(self, index: int) -> float | None:
        arrived_s = self._arrived_s.pop(index, None)
        latency_s = None if arrived_s is None else self._now() - arrived_s
        if latency_s is not None:
            self.latencies_s.append(latency_s)
        if len(self.latencies_s) > _MOST_LATENCIES:
            del self.latencies_s[: _MOST_LATENCIES // 2]
        # Dropped frames never come out; their arrival times must not pile up.
        for old in [key for key in list(self._arrived_s) if key < index]:
            self._arrived_s.pop(old, None)
        return latency_s


def anonymize_live(
    request: LiveRequest,
    config: AppConfig,
    password: bytes | None,
    *,
    stop: StopRequest,
    progress: ProgressSink,
    status: CameraStatus | None = None,
    now: Callable[[], float] = time.monotonic,
) -> LiveReport:
    """Anonymise a camera until somebody asks to stop.

    Args:
        request: what goes where.
        config: how.
        password: None exactly when irreversible.
        stop: ends the run in good order.
        progress: is told about each frame.
        status: is told what happens, for whoever watches.
        now: monotonic clock in seconds.

    Raises:
        AnonymizerError: whatever went wrong; what was written stays as a partial file.
    """
    status = status or CameraStatus(display_name(request.url), now=now)
    status.job_started()
    notices = Notices(status.error)
    models = load_models(config, threads=worker_count(config))
    try:
        source = LiveSource(
            request.url, options=request.options, notices=notices, stop=stop, now=now,
            on_lost=lambda reason: status.state("reconnecting", reason),
        )  # fmt: skip
        sink = open_sink(
            request.out,
            source.info,
            options=sink_options(config, overwrite=request.overwrite),
            notices=notices,
        )
        try:
            log = open_job_log(
                request.keylog, config, password, models, source.info,
                shift=sink.pts_shift, overwrite=request.overwrite,
            )  # fmt: skip
            sink.listen(log.coded)
            # A crash must not leave pictures whose way back is lost.
            sink.write_after(log.flush)
            job = _LiveJob(
                source, sink, log, models, config, notices,
                progress=progress, status=status, now=now,
            )  # fmt: skip
            try:
                job.run()
                sink.close()
                log.close(frames=sink.frames_written, was_interrupted=False)
            except BaseException:
                log.abort(keep=sink.frames_written > 0)
                raise
        except BaseException:
            sink.abort(keep_partial=True)
            raise
        return _report(job, source, sink, log, notices)
    finally:
        models.close()


def _report(
    job: _LiveJob, source: LiveSource, sink: Sink, log: JobLog, notices: Notices
) -> LiveReport:
    latencies = np.array(job.latencies_s or [0.0])
    return LiveReport(
        frames=sink.frames_written,
        dropped=job.incoming.dropped,
        reconnects=source.reconnects,
        tracks=job.tracks.track_count,
        replaced=job.replaced,
        covered=job.covered,
        latency_p50_s=float(np.percentile(latencies, 50)),
        latency_p95_s=float(np.percentile(latencies, 95)),
        keylog=log.path,
        warnings=tuple(notices),
    )
