"""Recovery: an anonymised video, its key log and the password give the faces back."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from engines.errors import ConfigError, KeyLogError, WrongPasswordError
from streamer.config import AppConfig
from streamer.file_job import worker_count
from streamer.forced_recovery import plan_by_force
from streamer.interrupt import StopRequest
from streamer.key_log import KeyLogHeader, KeyLogReader
from streamer.key_log_crypto import X25519Identity
from streamer.key_log_grant import GrantReader
from streamer.key_log_parts import OpenParts, open_parts, read_links
from streamer.media_info import Notices
from streamer.models import Models, load_models
from streamer.progress import ProgressSink
from streamer.reader import WantedReader, open_reader
from streamer.recovery_log import RecoveryLog, RecoverySource, TimeSpan
from streamer.recovery_pass import PassReport, RecordLookup, RecoveryPass
from streamer.recovery_placement import Placement, place_segments
from streamer.recovery_readback import read_identities
from streamer.recovery_request import RecoverReport, RecoverRequest, RecoveryMode
from streamer.recovery_samples import Sampler
from streamer.restorer import Restorer
from streamer.sink import SinkOptions
from streamer.source import open_source
from streamer.source_packets import digest_video

__all__ = ["recover_file"]

# Near lossless: a recovered picture that the encoder blurs again is no evidence.
_RECOVERY_CRF = 8.0


@dataclass(slots=True)
class _Job:
    """A recovery under way."""

    request: RecoverRequest
    config: AppConfig
    models: Models
    notices: Notices
    sampler: Sampler | None
    stop: StopRequest
    progress: ProgressSink

    def run(self, restorer: Restorer, mode: RecoveryMode, lookup: RecordLookup) -> PassReport:
        request = self.request
        options = SinkOptions(
            crf=_RECOVERY_CRF, codec=self.config.video.codec, overwrite=request.overwrite
        )
        return RecoveryPass(
            source=request.source, out=request.out, options=options, restorer=restorer, mode=mode,
            lookup=lookup, sampler=self.sampler, notices=self.notices,
            workers=worker_count(self.config), stop=self.stop, progress=self.progress,
        ).run()  # fmt: skip


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
    sampler: Sampler | None = None,
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
        sampler: takes pictures of what comes back, or None.
        stop: set by a signal, ends the run early and in good order.
        progress: is told about each frame.
        now: monotonic clock in seconds.

    Raises:
        WrongPasswordError: the password does not open the log, and `force` is off.
        AnonymizerError: whatever else went wrong.
    """
    if request.out is None and sampler is None:
        raise ConfigError("a recovery needs an output, a sheet or a report")
    start_s = now()
    with ExitStack() as stack:
        # The log first: a wrong password should not wait for the networks to load.
        parts: OpenParts[RecoverySource] | None = None
        try:
            parts = _open_log(request, password, identities, stack)
        except WrongPasswordError:
            if not request.force or password is None:
                raise
        models = load_models(config, threads=1)
        stack.callback(models.close)
        job = _Job(request, config, models, Notices(), sampler, stop, progress)
        if parts is None:
            return _recover_by_force(job, password or b"", start_s, now)
        return _recover_with_log(job, parts, start_s, now)


def _open_log(
    request: RecoverRequest,
    password: bytes | None,
    identities: Sequence[X25519Identity],
    stack: ExitStack,
) -> OpenParts[RecoverySource]:
    """The log and the parts that follow it; a grant opens the one that it was made for."""
    if request.grant is not None:
        if len(identities) != 1:
            raise KeyLogError("a grant is opened by the one secret key that it was made for")
        granted = GrantReader.open(request.grant, request.keylog, identities[0])
        stack.callback(granted.close)
        is_part = read_links(request.keylog).is_continued
        note = ("the recording goes on in another log, which this grant does not open",)
        return OpenParts((granted,), (request.keylog,), (), note if is_part else ())

    def open_one(path: Path) -> RecoverySource:
        reader = KeyLogReader.open(path, password, identities=identities)
        stack.callback(reader.close)
        reader.require_generation(request.min_generations.get(reader.core_hash.hex(), 0))
        return reader

    return open_parts(request.keylog, open_one)


def _place(job: _Job, log: RecoveryLog) -> Placement:
    found, time_base = digest_video(job.request.source)
    return place_segments(
        log.digests(), found, log_time_base=log.header.time_base, video_time_base=time_base
    )


def _restorer(job: _Job, log: RecoveryLog, mode: RecoveryMode, placement: Placement) -> Restorer:
    if mode == "sealed":
        return Restorer(job.models.generator, {})
    if mode == "assisted":
        return Restorer(job.models.generator, log.assisted_identities())
    # The whole file is read: more views of a face give a better identity.
    lookup = log.frames(placement.again(), TimeSpan())
    generator, own = job.models.generator, _open_reader(job, log.header)
    try:
        read_back = read_identities(
            str(job.request.source), lookup, own.embedder if own else job.models.embedder,
            crop_size_px=generator.crop_size_px, stop=job.stop, progress=job.progress,
        )  # fmt: skip
    finally:
        if own is not None:
            own.close()
    prior = own.prior if own else None
    return Restorer(generator, log.original_identities(read_back, job.models.space, prior))


def _open_reader(job: _Job, header: KeyLogHeader) -> WantedReader | None:
    """What learned to read the faces of the recording's generator; None: E_id has to do."""
    reader = open_reader(job.config, drawn_by=dict(header.models).get("generator"))
    if reader is None:
        job.notices.add(
            "there is no reader for the generator of this recording, so identities are read with "
            "the encoder, less exactly; --mode assisted needs no reading"
        )
    return reader


def _recover_with_log(
    job: _Job, parts: OpenParts[RecoverySource], start_s: float, now: Callable[[], float]
) -> RecoverReport:
    log = RecoveryLog(parts.logs, job.request.tracks)
    mode = _mode(job.request.mode, log.header)
    placement = _place(job, log)
    if job.sampler is not None:
        with open_source(job.request.source) as source:
            job.sampler.plan(log.spans_s(), rotation_deg=source.info.rotation_deg)
    if mode != "sealed":
        _note_networks(job, log.header)
    lookup = log.frames(placement, job.request.span)
    done = job.run(_restorer(job, log, mode, placement), mode, lookup)
    _note_log(job, log, parts)
    if not done.touched and log.track_ids:
        job.notices.add("no face of these tracks and times was found in this video")
    is_whole = log.is_complete and not (log.damage or parts.shut or parts.problems)
    return RecoverReport(
        mode=mode,
        frames=done.frames,
        frames_with_faces=done.touched,
        tracks=len(log.track_ids),
        frames_proven=placement.counts["proven"],
        frames_by_time=placement.counts["by time"],
        frames_unplaced=placement.counts["not"],
        placement=placement.words(),
        video=placement.verified.words(),
        logs=tuple(str(path) for path in parts.paths),
        was_forced=False,
        is_log_complete=is_whole,
        was_interrupted=job.stop.is_set(),
        seconds=now() - start_s,
        warnings=tuple(job.notices),
    )


def _note_networks(job: _Job, header: KeyLogHeader) -> None:
    """Say when other networks draw the faces than those that the recording was made with."""
    ours = dict(job.models.hashes)
    other = [name for name, digest in header.models if ours.get(name) != digest]
    if other:
        job.notices.add(
            f"the recording was made with another {' and '.join(other)}: faces may come out "
            "differently from what its own version would draw"
        )


def _note_log(job: _Job, log: RecoveryLog, parts: OpenParts[RecoverySource]) -> None:
    """Say what the log does not give."""
    for text in (*(f"key log: {text}" for text in log.damage), *parts.problems):
        job.notices.add(text)
    for part in parts.shut:
        unit = log.header.time_base
        first, last = (
            "?" if pts is None else f"{float(Fraction(pts) * unit):.3f} s"
            for pts in (part.links.first_pts, part.links.last_pts)
        )
        job.notices.add(f"{part.path.name}, from {first} to {last}, stays shut: {part.reason}")
    if not log.is_complete:
        job.notices.add("the key log has no end marker: the recording was cut off or is going on")
    for first_s, last_s, reason in log.gaps():
        job.notices.add(
            f"the key log has a gap from {first_s:.3f} s to {last_s:.3f} s of its time: {reason}"
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
    done = job.run(Restorer(job.models.generator, plan.identities), "generative", plan)
    return RecoverReport(
        mode="generative",
        frames=done.frames,
        frames_with_faces=done.touched,
        tracks=len(plan.identities),
        frames_proven=0,
        frames_by_time=0,
        frames_unplaced=done.frames,
        placement=("nothing is proven: the key log stayed shut",),
        video=(),
        logs=(),
        was_forced=True,
        is_log_complete=False,
        was_interrupted=job.stop.is_set(),
        seconds=now() - start_s,
        warnings=tuple(job.notices),
    )
