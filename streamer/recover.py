"""Recovery: an anonymised video, its key log and the password give the faces back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from engines.errors import KeyLogError, WrongPasswordError
from streamer.channel import Channel
from streamer.config import AppConfig
from streamer.file_job import worker_count
from streamer.forced_recovery import ForcedPlan, plan_by_force
from streamer.frames import CopiedPacket, Frame
from streamer.interrupt import StopRequest
from streamer.key_log import FrameRecords, KeyLogHeader, KeyLogReader
from streamer.key_log_crypto import X25519Identity
from streamer.key_log_grant import GrantReader
from streamer.media_info import Notices
from streamer.models import Models, load_models
from streamer.progress import ProgressSink, Tick
from streamer.recovery_log import FrameLookup, RecoveryLog, RecoverySource
from streamer.recovery_readback import read_identities
from streamer.restorer import RecoveredFrame, Restorer
from streamer.runner import StageRunner
from streamer.sink import SinkOptions
from streamer.sink_recovery import RecoverySink
from streamer.source import Source, open_source

__all__ = ["RecoverReport", "RecoverRequest", "RecoveryMode", "recover_file"]

RecoveryMode: TypeAlias = Literal["sealed", "assisted", "generative"]
_Pending: TypeAlias = "Future[RecoveredFrame] | CopiedPacket"
_Lookup: TypeAlias = FrameLookup | ForcedPlan

# Near lossless: a recovered picture that the encoder blurs again is no evidence.
_RECOVERY_CRF = 8.0


@dataclass(frozen=True, slots=True)
class RecoverRequest:
    """What is brought back, and where it goes.

    Attributes:
        source: the anonymised video.
        keylog: its key log.
        out: path of the recovered video.
        mode: None takes the best that the log allows.
        tracks: ids of the tracks, None for all.
        force: go on with a wrong password.
        overwrite: replace an existing output.
        grant: open the log through this grant; None: by its recipients.
    """

    source: Path
    keylog: Path
    out: Path
    mode: RecoveryMode | None = None
    tracks: tuple[int, ...] | None = None
    force: bool = False
    overwrite: bool = False
    grant: Path | None = None


@dataclass(frozen=True, slots=True)
class RecoverReport:
    """What a recovery did.

    Attributes:
        mode: how the faces came back.
        frames: frames written.
        frames_with_faces: of these, in how many something was brought back.
        tracks: tracks that were asked for and found.
        was_forced: the password was wrong.
        is_log_complete: the log has its end marker and no damage.
        was_interrupted: the user ended the run early.
        seconds: wall time.
        warnings: everything that could not be kept or brought back.
    """

    mode: RecoveryMode
    frames: int
    frames_with_faces: int
    tracks: int
    was_forced: bool
    is_log_complete: bool
    was_interrupted: bool
    seconds: float
    warnings: tuple[str, ...]


@dataclass(slots=True)
class _Job:
    """A recovery under way."""

    request: RecoverRequest
    config: AppConfig
    models: Models
    notices: Notices
    stop: StopRequest
    progress: ProgressSink


def _mode(asked: RecoveryMode | None, header: KeyLogHeader) -> RecoveryMode:
    """The mode to use.

    Raises:
        KeyLogError: the log does not hold what the mode needs.
    """
    if asked == "sealed" and not header.is_sealed:
        raise KeyLogError("this key log holds no sealed originals; try --mode assisted")
    if asked == "assisted" and not header.is_assisted:
        raise KeyLogError("this key log holds no embeddings; try --mode generative")
    if asked is not None:
        return asked
    if header.is_sealed:
        return "sealed"
    return "assisted" if header.is_assisted else "generative"


def recover_file(
    request: RecoverRequest,
    config: AppConfig,
    password: bytes | None,
    *,
    identities: Sequence[X25519Identity] = (),
    stop: StopRequest,
    progress: ProgressSink,
    now: Callable[[], float] = time.monotonic,
) -> RecoverReport:
    """Bring faces back.

    Args:
        request: what and where.
        config: what runs the networks.
        password: opens the log, None when only secret keys are to.
        identities: secret keys that open the log.
        stop: set by a signal, ends the run early and in good order.
        progress: is told about each frame.
        now: monotonic clock in seconds.

    Raises:
        WrongPasswordError: the password does not open the log, and `force` is off.
        AnonymizerError: whatever else went wrong.
    """
    start_s = now()
    models = load_models(config, threads=1)
    job = _Job(request, config, models, Notices(), stop, progress)
    try:
        try:
            reader = _open_log(request, password, identities)
        except WrongPasswordError:
            if not request.force or password is None:
                raise
            return _recover_by_force(job, password, start_s, now)
        with reader:
            return _recover_with_log(job, reader, start_s, now)
    finally:
        models.close()


def _open_log(
    request: RecoverRequest, password: bytes | None, identities: Sequence[X25519Identity]
) -> KeyLogReader | GrantReader:
    if request.grant is None:
        return KeyLogReader.open(request.keylog, password, identities=identities)
    if len(identities) != 1:
        raise KeyLogError("a grant is opened by the one secret key that it was made for")
    return GrantReader.open(request.grant, request.keylog, identities[0])


def _recover_with_log(
    job: _Job, reader: RecoverySource, start_s: float, now: Callable[[], float]
) -> RecoverReport:
    request = job.request
    mode = _mode(request.mode, reader.header)
    log = RecoveryLog(reader, request.tracks)
    if mode == "sealed":
        identities = {}
    elif mode == "assisted":
        identities = log.assisted_identities()
    else:
        read_back = read_identities(
            str(request.source), log, job.models, stop=job.stop, progress=job.progress
        )
        identities = log.original_identities(read_back, job.models.space)
    restorer = Restorer(job.models.generator, identities)
    written, touched = _render(job, restorer, log.frames(), mode)
    for text in reader.damage:
        job.notices.add(f"key log: {text}")
    if not reader.is_complete:
        job.notices.add("the key log has no end marker: the recording was cut off or is going on")
    if not touched and log.track_ids:
        job.notices.add("no frame of this video is in the key log: is it the right one?")
    return RecoverReport(
        mode=mode,
        frames=written,
        frames_with_faces=touched,
        tracks=len(log.track_ids),
        was_forced=False,
        is_log_complete=reader.is_complete and not reader.damage,
        was_interrupted=job.stop.is_set(),
        seconds=now() - start_s,
        warnings=tuple(job.notices),
    )


def _recover_by_force(
    job: _Job, password: bytes, start_s: float, now: Callable[[], float]
) -> RecoverReport:
    """With a wrong password the log stays shut; faces are found anew and turned by wrong keys."""
    job.notices.add(
        "the password does not open this key log; the faces that come out belong to nobody"
    )
    request = job.request
    plan = plan_by_force(
        request.source, request.keylog, password, job.models, job.config,
        workers=worker_count(job.config), stop=job.stop, progress=job.progress,
    )  # fmt: skip
    restorer = Restorer(job.models.generator, plan.identities)
    written, touched = _render(job, restorer, plan, "generative")
    return RecoverReport(
        mode="generative",
        frames=written,
        frames_with_faces=touched,
        tracks=len(plan.identities),
        was_forced=True,
        is_log_complete=False,
        was_interrupted=job.stop.is_set(),
        seconds=now() - start_s,
        warnings=tuple(job.notices),
    )


def _render(job: _Job, restorer: Restorer, lookup: _Lookup, mode: RecoveryMode) -> tuple[int, int]:
    """Write the recovered file; returns frames written, and how many had something to restore."""
    with open_source(job.request.source, notices=job.notices) as source:
        sink = RecoverySink(
            job.request.out,
            source.info,
            options=SinkOptions(
                crf=_RECOVERY_CRF, codec=job.config.video.codec, overwrite=job.request.overwrite
            ),
            notices=job.notices,
        )
        try:
            touched = _pump(job, source, sink, restorer, lookup, mode)
            sink.close(end_pts=None if job.stop.is_set() else source.stats.end_pts)
        except BaseException:
            sink.abort()
            raise
    return sink.frames_written, touched


def _pump(
    job: _Job,
    source: Source,
    sink: RecoverySink,
    restorer: Restorer,
    lookup: _Lookup,
    mode: RecoveryMode,
) -> int:
    workers = worker_count(job.config)
    channel: Channel[_Pending] = Channel(2 * workers + 2)
    touched = 0

    def restore(frame: Frame, records: FrameRecords) -> RecoveredFrame:
        if mode == "sealed":
            return restorer.unseal(frame, records.patches)
        return restorer.generate(frame, records.faces)

    with ThreadPoolExecutor(workers, thread_name_prefix="restore") as pool:

        def decode() -> None:
            nonlocal touched
            for item in source:
                if job.stop.is_set():
                    break
                if isinstance(item, CopiedPacket):
                    channel.send(item)
                    continue
                records = lookup.of(item)
                touched += bool(records.patches if mode == "sealed" else records.faces)
                channel.send(pool.submit(restore, item, records))
            channel.close()

        def write() -> None:
            for item in channel:
                if isinstance(item, CopiedPacket):
                    sink.copy(item)
                    continue
                sink.write_recovered(item.result())
                job.progress.update(Tick("recover", sink.frames_written, source.info.frame_count))

        runner = StageRunner(channel)
        runner.add("decode", decode)
        runner.add("write", write)
        runner.run()
    return touched
