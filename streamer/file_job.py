"""The main job: a video file in, the anonymised file and its key log out."""

from __future__ import annotations

import dataclasses
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

from streamer.analysis import Analysis, analyse
from streamer.blender import Blender
from streamer.channel import Channel
from streamer.config import AppConfig
from streamer.face_finder import FaceFinder, input_side_px
from streamer.frames import CopiedPacket
from streamer.interrupt import StopRequest
from streamer.job_log import JobLog, open_job_log
from streamer.job_options import analysis_options, sink_options
from streamer.media_info import Notices
from streamer.models import Models, load_models
from streamer.progress import ProgressSink, Tick
from streamer.renderer import RenderedFrame, Renderer
from streamer.runner import StageRunner
from streamer.sink import Sink, open_sink
from streamer.source import Source, SourceOptions, open_source

__all__ = ["FileReport", "FileRequest", "anonymize_file"]

_Pending: TypeAlias = "Future[RenderedFrame] | CopiedPacket"


@dataclass(frozen=True, slots=True)
class FileRequest:
    """What goes where.

    Attributes:
        source: path of the input.
        out: path of the output.
        keylog: path of the key log.
        rate_hz: frame rate of inputs without time stamps.
        overwrite: replace existing outputs.
    """

    source: str
    out: Path
    keylog: Path
    rate_hz: Fraction | None = None
    overwrite: bool = False

    def source_options(self) -> SourceOptions:
        """How the input is opened, the same way for both passes."""
        return SourceOptions(mode="file", rate_hz=self.rate_hz)


@dataclass(frozen=True, slots=True)
class FileReport:
    """What a run did; counts are of frames, tracks and faces in frames.

    Attributes:
        frames: frames written.
        tracks: tracks found.
        replaced: faces that got a synthetic one.
        covered: faces that were pixelated or filled.
        keylog: the key log, None when irreversible.
        analyse_s: time of the first pass in seconds.
        render_s: time of the second pass in seconds.
        was_interrupted: the user ended the run early.
        is_damaged: the input was damaged or ended early.
        warnings: everything that could not be kept.
        engines: what ran the networks.
    """

    frames: int
    tracks: int
    replaced: int
    covered: int
    keylog: Path | None
    analyse_s: float
    render_s: float
    was_interrupted: bool
    is_damaged: bool
    warnings: tuple[str, ...]
    engines: tuple[str, ...]


def worker_count(config: AppConfig) -> int:
    """Render threads: as asked for, or one per core that this process may use."""
    if config.engine.workers:
        return config.engine.workers
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on every platform
        return os.cpu_count() or 1


class _RenderPass:
    """The second pass: decode, render on several threads, log and write in order."""

    def __init__(
        self,
        source: Source,
        sink: Sink,
        log: JobLog,
        renderer: Renderer,
        analysis: Analysis,
        *,
        copied: frozenset[int],
    ) -> None:
        self._source = source
        self._sink = sink
        self._log = log
        self._renderer = renderer
        self._plans = analysis.plans
        self._tracks = analysis.track_count
        self._copied = copied
        self.replaced = 0
        self.covered = 0

    def run(self, workers: int, progress: ProgressSink, stop: StopRequest) -> None:
        """Write the whole file, or as much as there is a plan for.

        A stop that comes while rendering ends the file at the next frame; one that came during
        the analysis has shortened the plan already.
        """
        channel: Channel[_Pending] = Channel(2 * workers + 2)
        stopped_before = stop.is_set()
        with ThreadPoolExecutor(workers, thread_name_prefix="render") as pool:

            def decode() -> None:
                for item in self._source:
                    if stop.is_set() and not stopped_before:
                        break
                    if isinstance(item, CopiedPacket):
                        if item.stream_index in self._copied:
                            channel.send(item)
                    elif item.index < len(self._plans):
                        plan = self._plans[item.index]
                        channel.send(pool.submit(self._renderer.render, item, plan))
                    else:
                        break
                channel.close()

            def write() -> None:
                for item in channel:
                    if isinstance(item, CopiedPacket):
                        self._sink.copy(item)
                    else:
                        self._write(item.result(), progress)

            runner = StageRunner(channel)
            runner.add("decode", decode)
            runner.add("write", write)
            runner.run()

    def _write(self, rendered: RenderedFrame, progress: ProgressSink) -> None:
        result = rendered.result
        # The log first: a face that is out must have its way back already on the disk.
        self._log.add(rendered.records, result.frame.pts)
        self._sink.write(result.frame)
        self.replaced += len(result.replaced)
        self.covered += len(result.filled)
        faces = len(result.replaced) + len(result.filled)
        done, total = self._sink.frames_written, len(self._plans)
        progress.update(Tick("render", done, total, faces, self._tracks, self.covered))


def anonymize_file(
    request: FileRequest,
    config: AppConfig,
    password: bytes | None,
    *,
    stop: StopRequest,
    progress: ProgressSink,
    now: Callable[[], float] = time.monotonic,
) -> FileReport:
    """Anonymise a video file.

    Args:
        request: what goes where.
        config: how.
        password: unlocks the key log and keys the identities; None exactly when irreversible.
        stop: set by a signal, ends the run early and in good order.
        progress: is told about each frame.
        now: monotonic clock in seconds.

    Raises:
        AnonymizerError: whatever went wrong; no output is left under its final name.
    """
    notices = Notices()
    workers = worker_count(config)
    models = load_models(config, threads=1)
    try:
        with open_source(
            request.source, options=request.source_options(), notices=notices
        ) as probe:
            info = probe.info
            if config.video.drop_audio:
                kept = tuple(s for s in info.copy_streams if s.kind != "audio")
                info = dataclasses.replace(info, copy_streams=kept)
            sink = open_sink(
                request.out,
                info,
                options=sink_options(config, overwrite=request.overwrite),
                notices=notices,
            )
            try:
                log = open_job_log(
                    request.keylog,
                    config,
                    password,
                    models,
                    info,
                    shift=sink.pts_shift,
                    overwrite=request.overwrite,
                )
                try:
                    return _run(
                        request, config, models, probe, sink, log,
                        workers=workers, notices=notices, stop=stop, progress=progress, now=now,
                    )  # fmt: skip
                except BaseException:
                    log.abort(keep=sink.frames_written > 0)
                    raise
            except BaseException:
                # Frames that are out are anonymised: what was written is kept as a partial file.
                sink.abort(keep_partial=True)
                raise
    finally:
        models.close()


def _run(
    request: FileRequest,
    config: AppConfig,
    models: Models,
    first: Source,
    sink: Sink,
    log: JobLog,
    *,
    workers: int,
    notices: Notices,
    stop: StopRequest,
    progress: ProgressSink,
    now: Callable[[], float],
) -> FileReport:
    start_s = now()
    info = first.info
    finder = FaceFinder(
        models.detector,
        rotation_deg=info.rotation_deg,
        long_side_px=input_side_px(info.size_hw, config.detector.long_side_px),
    )
    options = analysis_options(config, models, workers=workers, frame_count=info.frame_count)
    analysis = analyse(
        first.frames(), finder, models.embedder, options, stop=stop, progress=progress
    )
    middle_s = now()
    targets = log.identities(analysis)
    renderer = Renderer(
        models.generator,
        Blender(fallback=config.cover.fallback),
        targets if config.cover.replace else {},
        seal=log.is_sealing,
        notices=notices,
    )
    with open_source(request.source, options=request.source_options(), notices=notices) as second:
        copied = frozenset(stream.index for stream in sink.info.copy_streams)
        render = _RenderPass(second, sink, log, renderer, analysis, copied=copied)
        render.run(workers, progress, stop)
        end_pts = second.stats.end_pts
        stats = second.stats
    sink.close(end_pts=None if stop.is_set() else end_pts)
    log.close(frames=sink.frames_written, was_interrupted=stop.is_set())
    return FileReport(
        frames=sink.frames_written,
        tracks=analysis.track_count,
        replaced=render.replaced,
        covered=render.covered,
        keylog=log.path,
        analyse_s=middle_s - start_s,
        render_s=now() - middle_s,
        was_interrupted=stop.is_set(),
        is_damaged=stats.ends_early or bool(stats.lost_packets or stats.read_errors),
        warnings=tuple(notices),
        engines=tuple(
            f"{e.model} on {e.backend} {e.provider} ({e.precision}; {e.reason})"
            for e in models.describe()
        ),
    )
