"""The main job: a video file in, the anonymised file and its key log out."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType

from engines.cores import usable_cores
from streamer.analysis import Analysis, analyse
from streamer.config import AppConfig
from streamer.interrupt import StopRequest
from streamer.job_log import JobLog
from streamer.job_log_open import open_job_log
from streamer.job_options import (
    analysis_options,
    asks_recall,
    face_finder,
    file_encoder_threads,
    make_disguise,
    make_renderer,
    sink_options,
)
from streamer.media_info import MediaInfo, Notices
from streamer.models import load_models
from streamer.progress import ProgressSink
from streamer.reader import open_reader
from streamer.recall import ReaderRecall
from streamer.render_pass import RenderPass
from streamer.sink import Sink, open_sink
from streamer.source import Source, SourceOptions, SourceStats, open_source
from streamer.source_convert import Scaler

__all__ = ["FileReport", "FileRequest", "anonymize_file", "worker_count"]


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


@dataclass(frozen=True, slots=True)
class FileReport:
    """What a run did; counts are of frames, tracks and faces in frames.

    Attributes:
        frames: frames written.
        tracks: tracks found.
        replaced: faces that got a synthetic one.
        covered: faces under a cover.
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
    return config.engine.workers or usable_cores()


class _FileJob:
    """An anonymisation under way: models, output and log, which belong together.

    A context manager: after an error the output is left as a partial file if frames are out
    (all of them anonymised), and the log beside it; otherwise both are removed.
    """

    def __init__(self, request: FileRequest, config: AppConfig, password: bytes | None) -> None:
        self._request = request
        self._config = config
        self._password = password
        self._workers = worker_count(config)
        self._cleanup = ExitStack()
        self._scaler = Scaler()
        self.notices = Notices()

    def __enter__(self) -> _FileJob:
        with self._cleanup as stack:
            # Kept for the first pass: opening it is not free.
            self._source = stack.enter_context(self._open_source())
            self._info = self._kept(self._source.info)
            self.models = load_models(self._config, threads=1)
            stack.callback(self.models.close)
            self.sink = stack.enter_context(self._open_sink())
            self.log = stack.enter_context(self._open_log())
            self._cleanup = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._cleanup.__exit__(kind, error, trace)

    def _kept(self, info: MediaInfo) -> MediaInfo:
        """The facts about what goes to the output."""
        if not self._config.video.drop_audio:
            return info
        kept = tuple(stream for stream in info.copy_streams if stream.kind != "audio")
        return dataclasses.replace(info, copy_streams=kept)

    def _open_source(self) -> AbstractContextManager[Source]:
        options = SourceOptions(mode="file", rate_hz=self._request.rate_hz, scaler=self._scaler)
        return open_source(self._request.source, options=options, notices=self.notices)

    @contextmanager
    def _open_sink(self) -> Iterator[Sink]:
        options = sink_options(
            self._config,
            overwrite=self._request.overwrite,
            encoder_threads=file_encoder_threads(self._config, self._workers),
        )
        sink = open_sink(self._request.out, self._info, options=options, notices=self.notices)
        try:
            yield sink
        except BaseException:
            sink.abort(keep_partial=True)
            raise

    @contextmanager
    def _open_log(self) -> Iterator[JobLog]:
        log = open_job_log(
            self._request.keylog, self._config, self._password, self.models, self._info,
            shift=self.sink.pts_shift, overwrite=self._request.overwrite, notices=self.notices,
        )  # fmt: skip
        self.sink.listen(log.coded)
        # A crash must not leave pictures whose way back is lost.
        self.sink.write_after(log.flush)
        try:
            yield log
        except BaseException:
            log.abort(keep=self.sink.frames_written > 0)
            raise

    def analyse(self, stop: StopRequest, progress: ProgressSink) -> Analysis:
        """First pass: who is where in every frame."""
        info, config = self._info, self._config
        finder = face_finder(config, self.models, info)
        options = analysis_options(
            config, self.models, workers=self._workers, frame_count=info.frame_count
        )
        with self._open_recall() as recall:
            found = analyse(
                self._source.frames(), finder, self.models.embedder, options,
                stop=stop, progress=progress,
                disguise=make_disguise(config, self.models, self.log, recall),
            )  # fmt: skip
        self._source.close()
        return found

    @contextmanager
    def _open_recall(self) -> Iterator[ReaderRecall | None]:
        """What tells how well keys lead back; nothing where recovery does not depend on it."""
        config, reader = self._config, None
        if self.log.path is not None and asks_recall(config):
            reader = open_reader(config, drawn_by=dict(self.models.hashes).get("generator"))
        if reader is None:
            yield None
            return
        with closing(reader):
            models = self.models
            yield ReaderRecall(reader, self.log, models.space, models.generator, models.embedder)

    def render(
        self, analysis: Analysis, stop: StopRequest, progress: ProgressSink
    ) -> tuple[RenderPass, SourceStats]:
        """Second pass: every frame drawn, logged and written; closes output and log."""
        targets = self.log.identities(analysis)
        renderer = make_renderer(
            self._config,
            self.models,
            targets=targets,
            originals=analysis.embeddings,
            has_log=self.log.path is not None,
            notices=self.notices,
        )
        with self._open_source() as source:
            render = RenderPass(
                source, self.sink, self.log, renderer, analysis.plans,
                track_count=analysis.track_count,
            )  # fmt: skip
            render.run(self._workers, progress, stop)
            stats = source.stats
        self.sink.close(end_pts=None if stop.is_set() else stats.end_pts)
        self.log.close(frames=self.sink.frames_written, was_interrupted=stop.is_set())
        return render, stats


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
    with _FileJob(request, config, password) as job:
        start_s = now()
        analysis = job.analyse(stop, progress)
        middle_s = now()
        render, stats = job.render(analysis, stop, progress)
        return FileReport(
            frames=job.sink.frames_written,
            tracks=analysis.track_count,
            replaced=render.replaced,
            covered=render.covered,
            keylog=job.log.path,
            analyse_s=middle_s - start_s,
            render_s=now() - middle_s,
            was_interrupted=stop.is_set(),
            is_damaged=stats.ends_early or bool(stats.lost_packets or stats.read_errors),
            warnings=tuple(job.notices),
            engines=tuple(
                f"{e.model} on {e.backend} {e.provider} ({e.precision}; {e.reason})"
                for e in job.models.describe()
            ),
        )
