"""The live job: a camera in, anonymised video out, a few frames later."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Final

from streamer.camera_snapshot import SinkHealth
from streamer.camera_status import CameraStatus
from streamer.channel import Channel
from streamer.config import AppConfig
from streamer.credentials import with_credentials
from streamer.file_job import worker_count
from streamer.frames import CopiedPacket, Frame
from streamer.interrupt import StopRequest
from streamer.job_options import sink_options
from streamer.key_log import Note
from streamer.key_rotation import KeyRotation
from streamer.latency import LatencyHistogram
from streamer.live_arrivals import Arrivals
from streamer.live_draw import LiveDraw
from streamer.live_items import Drawn, Found, Stub, TracksEnded
from streamer.live_log import LiveLog
from streamer.live_looks import waiting_together
from streamer.live_outputs import OutputPlan, open_outputs, plan_outputs
from streamer.live_process import LiveProcess
from streamer.live_request import LiveReport, LiveRequest, OutputReport
from streamer.live_sound import LiveSound
from streamer.live_source import FormatChanged, LiveItem, LiveSource, Reconnected
from streamer.live_write import LiveWriter
from streamer.media_info import Notices
from streamer.models import Models, load_models
from streamer.progress import ProgressSink, Tick
from streamer.redact import display_name
from streamer.renderer import RenderedFrame
from streamer.runner import StageRunner
from streamer.sink_live import LiveSink
from streamer.sink_worker import OutputWorker

__all__ = ["LiveReport", "LiveRequest", "anonymize_live"]

# Frames that wait for the detector. More would only be older when they come out.
_WAITING: Final = 4
# Items that wait to be drawn; while they are as many, finding waits, and frames are dropped there.
_PLANNED: Final = 2
# Items that wait to be encoded.
_DRAWN: Final = 8
_IDLE_S: Final = 0.1
# For an output to finish its file or say good-bye; one that hangs longer is left alone.
_CLOSE_TIMEOUT_S: Final = 10.0


class _LiveJob:
    """Four threads: read, find, draw, write; and one for each output."""

    def __init__(
        self,
        request: LiveRequest,
        plan: OutputPlan,
        config: AppConfig,
        password: bytes | None,
        models: Models,
        stack: ExitStack,
        *,
        stop: StopRequest,
        progress: ProgressSink,
        status: CameraStatus,
        rotation: KeyRotation | None,
        now: Callable[[], float],
    ) -> None:
        self._status, self._progress, self._now = status, progress, now
        self.notices = Notices(status.error)
        self._plan = plan
        self.source = LiveSource(
            with_credentials(request.url, config.live.credentials),
            options=request.options, notices=self.notices, stop=stop, now=now,
            on_lost=lambda reason: status.state("reconnecting", reason),
        )  # fmt: skip
        stack.callback(self.source.close)
        self._sound = LiveSound(config.output.audio, drops=config.video.drop_audio)
        info = self._sound.kept(self.source.info)
        self.log = LiveLog(
            config, password, models, info, overwrite=request.overwrite, notices=self.notices,
            rotation=rotation or KeyRotation(config.keylog.rotate_every_s, now=now),
        )  # fmt: skip
        stack.push(self._end_log)
        self.sink = LiveSink(
            options=sink_options(config, overwrite=request.overwrite), notices=self.notices
        )
        self.outputs = self._open_outputs(request, config, self._plan)
        stack.push(self._end_sink)
        self._writer = LiveWriter(
            self.sink, self.log, self._plan, info,
            segment_s=config.output.segment_s, clock=time.time,
        )  # fmt: skip
        self._arrivals = Arrivals(now)
        self.incoming: Channel[LiveItem] = Channel(
            _WAITING, drop_oldest=True, may_drop=lambda item: isinstance(item, Frame)
        )
        self._planned: Channel[Found] = Channel(_PLANNED)
        self._outgoing: Channel[Drawn] = Channel(_DRAWN)
        self.process = LiveProcess(
            info, models, config, self.log,
            status=status, dropped=lambda: self.incoming.dropped, now=now,
        )  # fmt: skip
        self._draw_stage = LiveDraw(
            models, config, has_log=self.log.has_log, notices=self.notices,
            observer=status, age_s=self._arrivals.age_s,
        )  # fmt: skip
        self.latency = LatencyHistogram()
        self.replaced = self.covered = self.stubs = 0

    def _open_outputs(
        self, request: LiveRequest, config: AppConfig, plan: OutputPlan
    ) -> dict[str, OutputWorker]:
        outputs = open_outputs(
            plan, request, config, self.sink,
            source_name=self.source.info.name, notices=self.notices,
            on_health=self._on_health, now=self._now,
        )  # fmt: skip
        self.sink.feed(list(outputs.values()))
        self.sink.listen(self.log.coded)
        # A crash must not leave pictures out there whose way back is lost.
        self.sink.write_after(self.log.flush)
        return outputs

    def _on_health(self, name: str, health: SinkHealth) -> None:
        self._status.sink(name, health)
        if health.state == "down" and health.last_error:
            self.notices.add(f"{health.last_error}; trying again")

    def _end_sink(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.sink.abort(_CLOSE_TIMEOUT_S)
            return
        for name in self.sink.close(_CLOSE_TIMEOUT_S):
            self.notices.add(f"{name}: hangs and was left alone")

    def _end_log(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.log.close()
        else:
            self.log.abort(keep=self.sink.frames_written > 0)

    def run(self) -> None:
        """Until the source ends or somebody asks to stop."""
        runner = StageRunner(self.incoming, self._planned, self._outgoing)
        runner.add("read", self._read)
        runner.add("find", self._find)
        runner.add("draw", self._draw)
        runner.add("write", self._write)
        runner.run()

    def _read(self) -> None:
        for item in self.source:
            if isinstance(item, Frame):
                self._arrivals.add(item)
                self._status.arrived()
            elif isinstance(item, Reconnected):
                self._status.reconnected()
            passed = self._heard(item)
            if passed is not None:
                self.incoming.send(passed)
        self.incoming.close()

    def _heard(self, item: LiveItem) -> LiveItem | None:
        if isinstance(item, FormatChanged):
            return replace(item, info=self._sound.kept(item.info))
        return self._sound.passed(item) if isinstance(item, CopiedPacket) else item

    def _find(self) -> None:
        most = self.process.most_at_once
        while not self.incoming.is_finished:
            items = waiting_together(self.incoming, _IDLE_S, most_frames=most)
            for one in self.process.take(items) if items else self.process.idle():
                self._planned.send(one)
        for one in self.process.flush():
            self._planned.send(one)
        self._planned.close()

    def _draw(self) -> None:
        for item in self._planned:
            for one in self._draw_stage.take(item):
                self._outgoing.send(one)
        self._outgoing.close()

    def _write(self) -> None:
        writer = self._writer
        for item in self._outgoing:
            if isinstance(item, RenderedFrame):
                self._write_frame(item)
            elif isinstance(item, CopiedPacket):
                writer.copy(item)
            elif isinstance(item, Stub):
                self.stubs += writer.put(item.frame, (), arrived_s=None, is_made=True)
            elif isinstance(item, Reconnected):
                writer.lost()
            elif isinstance(item, FormatChanged):
                writer.change(item.info)
            elif isinstance(item, Note):
                self.log.note(item)
            elif isinstance(item, TracksEnded):
                self.log.forget(item.track_ids)

    def _write_frame(self, item: RenderedFrame) -> None:
        result = item.result
        arrived_s = self._arrivals.take(result.frame.index)
        if not self._writer.put(result.frame, item.records, arrived_s=arrived_s):
            return
        latency_s = None if arrived_s is None else self._now() - arrived_s
        if latency_s is not None:
            self.latency.add(latency_s)
        self.replaced += len(result.replaced)
        self.covered += len(result.filled)
        self._status.put_out(result, latency_s)
        waiting = (len(self.incoming), len(self._planned), len(self._outgoing))
        self._status.queues(dict(zip(("detect", "draw", "write"), waiting, strict=True)))
        self._status.totals(dropped=self.incoming.dropped, key_log_bytes=self.log.size_bytes)
        faces = len(result.replaced) + len(result.filled)
        tracks = self.process.tracks.track_count
        self._progress.update(Tick("live", self.sink.frames_written, None, faces, tracks))


def anonymize_live(
    request: LiveRequest,
    config: AppConfig,
    password: bytes | None,
    *,
    stop: StopRequest,
    progress: ProgressSink,
    status: CameraStatus | None = None,
    rotation: KeyRotation | None = None,
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
        rotation: says when the key log gets a new key; None: as the configuration says.
        now: monotonic clock in seconds.

    Raises:
        AnonymizerError: whatever went wrong; what was written stays as a partial file.
    """
    status = status or CameraStatus(display_name(request.url), now=now)
    plan = plan_outputs(request, config)  # what is wrong here is told before networks are loaded
    with ExitStack() as stack:
        models = load_models(config, threads=_network_threads(config))
        stack.callback(models.close)
        job = _LiveJob(
            request, plan, config, password, models, stack,
            stop=stop, progress=progress, status=status, rotation=rotation, now=now,
        )  # fmt: skip
        job.run()
    return _report(job)


def _network_threads(config: AppConfig) -> int:
    """Threads of one call of a network: finding and drawing call at the same time."""
    return config.engine.workers or max(1, worker_count(config) // 2)


def _report(job: _LiveJob) -> LiveReport:
    latency = job.latency.snapshot()
    return LiveReport(
        frames=job.sink.frames_written,
        dropped=job.incoming.dropped,
        stubs=job.stubs,
        reconnects=job.source.reconnects,
        tracks=job.process.tracks.track_count,
        replaced=job.replaced,
        covered=job.covered,
        latency_p50_s=latency.quantile_s(0.5),
        latency_p95_s=latency.quantile_s(0.95),
        latency_p99_s=latency.quantile_s(0.99),
        outputs={name: _output_report(worker) for name, worker in job.outputs.items()},
        keylog=job.log.path,
        warnings=tuple(job.notices),
    )


def _output_report(worker: OutputWorker) -> OutputReport:
    latency = worker.latency()
    return OutputReport(
        worker.health, latency.quantile_s(0.5), latency.quantile_s(0.95), latency.quantile_s(0.99)
    )
