"""LiveLog: the key log of a run without an end, as one file or as one for each piece.

Each log has a file key of its own and is whole by itself. Rotation keys go on from log to log, so
that a face keeps its new look when a piece ends or keys are rotated. Each log names the one before.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from engines.arrays import Float32Array
from engines.errors import ConfigError
from streamer.config import AppConfig
from streamer.job_header import make_header
from streamer.job_log import JobLog
from streamer.job_log_open import (
    current_recipients,
    derive_run_keys,
    open_log_of,
    open_writer,
    throwaway_master,
)
from streamer.key_log import Gap, KeyLogHeader, KeyLogWriter, Note, Recipient, Record
from streamer.key_log_parts import next_part
from streamer.key_rotation import KeyRotation
from streamer.keys import KeyScope
from streamer.media_info import MediaInfo, Notices
from streamer.models import Models

__all__ = ["LiveLog"]


class LiveLog:
    """What a live job leaves for recovery; the records go to the log of the newest piece.

    `protect`, `assign` and `forget` may come from another thread than the rest.

    Args:
        config: what the logs hold.
        password: opens them; None when irreversible, or when only recipients are to open them.
        models: the networks, for their hashes and the identity space.
        info: facts about the video.
        overwrite: replace existing logs.
        notices: told when originals or new recipients cannot be kept.
        rotation: says when a log goes on in another one with a new key; None: never.
        clock: wall clock in seconds since 1970 UTC.

    Raises:
        ConfigError: a recipient cannot be used.
    """

    def __init__(
        self,
        config: AppConfig,
        password: bytes | None,
        models: Models,
        info: MediaInfo,
        *,
        overwrite: bool,
        notices: Notices,
        rotation: KeyRotation | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._config, self._models = config, models
        self._overwrite, self._clock = overwrite, clock
        self._keys = derive_run_keys(config, password, models, info, clock=clock)
        self._notices, self._rotation = notices, rotation
        self._header = self._keys.header
        self._recipients = current_recipients(config.keylog)
        self._lock = threading.Lock()
        # New faces are chosen before the first piece begins; without a file it only computes.
        self._faces = JobLog(
            None, self._keys.scope_keys, self._keys.header, models,
            shift=0, source_name="", wipes_keys=False,
        )  # fmt: skip
        self._identities: dict[int, int] = {}
        self._originals: dict[int, tuple[Float32Array, int]] = {}
        self._part: JobLog | None = None
        self._shift = 0
        self._frames = 0
        self._bytes_before = 0
        self.paths: list[Path] = []

    @property
    def has_log(self) -> bool:
        """Whether anything is kept."""
        return self._keys.has_log

    @property
    def size_bytes(self) -> int:
        """How much was written, to all logs of the run."""
        return self._bytes_before + (0 if self._part is None else self._part.size_bytes)

    @property
    def path(self) -> Path | None:
        """The newest log, None when there is none."""
        return self.paths[-1] if self.paths else None

    def begin(self, path: Path | None, info: MediaInfo, *, shift: int) -> None:
        """End the log of the piece before, and begin the next one.

        Args:
            path: where it goes; None exactly when there are no logs.
            info: facts about the video from here on.
            shift: added to each pts, so that the log has the times of the file.

        Raises:
            KeyLogError: one cannot be ended, or the other not be created.
        """
        if self._part is not None:
            self._end_part()
            header = make_header(
                self._config, self._models, info,
                created_s=self._clock(), random_bytes=secrets.token_bytes,
            )  # fmt: skip
            self._header = replace(header, previous_log=self._part.last_hash)
        if path is None and self._keys.has_log:
            raise ValueError("a log needs a path")
        part = open_log_of(
            self._keys, path or Path(), self._header, self._config, self._models,
            recipients=self._recipients_now(),
            source_name=info.name, shift=shift, overwrite=self._overwrite, wipes_keys=False,
            notices=self._notices,
        )  # fmt: skip
        with self._lock:
            self._part, self._shift, self._frames = part, shift, 0
            for identity, (original, attempt) in self._originals.items():
                part.protect(identity, original, attempt)
            for track_id, identity in self._identities.items():
                part.assign(track_id, identity)
        if part.path is not None:
            self.paths = [*self.paths[-99:], part.path]

    def _end_part(self) -> None:
        part = self._part
        if part is not None:
            part.close(frames=self._frames, was_interrupted=False)
            self._bytes_before += part.size_bytes

    def propose(self, identity_id: int, original: Float32Array, attempt: int) -> Float32Array:
        """The (512,) embedding of the new face that an identity gets by one of its keys."""
        return self._faces.propose(identity_id, original, attempt)

    def protect(self, identity_id: int, original: Float32Array, attempt: int = 0) -> Float32Array:
        """The (512,) embedding of the new face of an identity, and remember the original one."""
        with self._lock:
            self._originals[identity_id] = original, attempt
            if self._part is not None:
                self._part.protect(identity_id, original, attempt)
            return self._faces.protect(identity_id, original, attempt)

    def assign(self, track_id: int, identity_id: int) -> None:
        """Say whose identity a track has; the log learns it before the track's next face."""
        with self._lock:
            self._identities[track_id] = identity_id
            if self._part is not None:
                self._part.assign(track_id, identity_id)
            self._faces.assign(track_id, identity_id)

    def forget(self, track_ids: Sequence[int]) -> None:
        """Tracks have ended for good; keeps the memory of endless jobs flat."""
        with self._lock:
            for track_id in track_ids:
                self._identities.pop(track_id, None)
                if self._part is not None:
                    self._part.forget(track_id)
                self._faces.forget(track_id)
            in_use = set(self._identities.values())
            self._originals = {key: z for key, z in self._originals.items() if key in in_use}
            self._keys.scope_keys.keep({self._faces.scope_id(key) for key in in_use})

    def add(self, records: Sequence[Record], pts: int) -> None:
        """Add the records of the next frame.

        Raises:
            KeyLogError: the log cannot be written, so the frame must not be written either.
        """
        if self._rotation is not None and self._frames and self._rotation.take():
            self._rotate()
        self._require().add(records, pts)
        self._frames += 1

    def _rotate(self) -> None:
        """Go on in another log, which whoever is a recipient now can open."""
        part = self._require()
        if not self._keys.has_log or part.path is None:
            self._renew_master()
            return
        path = next_part(part.path)
        part.rotate(lambda last_hash: self._next_writer(path, last_hash), frames=self._frames)
        self._frames = 0
        self.paths = [*self.paths[-99:], path]
        self._renew_master()

    def _next_writer(self, path: Path, last_hash: bytes) -> KeyLogWriter:
        self._header = _continued(self._header, last_hash, created_us=int(self._clock() * 1e6))
        return open_writer(
            self._keys, path, self._header, self._config.keylog,
            recipients=self._recipients_now(), overwrite=self._overwrite,
        )  # fmt: skip

    def _recipients_now(self) -> tuple[Recipient, ...]:
        try:
            self._recipients = current_recipients(self._config.keylog)
        except ConfigError as exc:
            # A stream must not end for a typing error, and nobody new is let in by one.
            self._notices.add(f"the recipients stay as they were: {exc}")
        return self._recipients

    def _renew_master(self) -> None:
        """Without a password nothing must derive the keys of tracks that are gone."""
        if self._keys.master is None and self._keys.header.scope is KeyScope.TRACK:
            self._keys.scope_keys.renew(throwaway_master())

    def note(self, record: Gap | Note) -> None:
        """Add a record that belongs to no frame; lost when no piece has begun.

        Raises:
            KeyLogError: the log cannot be written.
        """
        if self._part is not None:
            self._part.note(record)

    def coded(self, pts: int, data: bytes, is_keyframe: bool) -> None:
        """Take a coded picture; its pts is without the shift."""
        self._require().coded(pts + self._shift, data, is_keyframe)

    def flush(self) -> None:
        """Bring to the disk what the log holds in memory.

        Raises:
            KeyLogError: the log cannot be written, so the video must not be written either.
        """
        self._require().flush()

    def _require(self) -> JobLog:
        if self._part is None:
            raise ValueError("no log was begun")
        return self._part

    def close(self) -> None:
        """End the last log and forget the keys.

        Raises:
            KeyLogError: it cannot be written.
        """
        try:
            self._end_part()
        finally:
            self._keys.wipe()

    def abort(self, *, keep: bool) -> None:
        """End without a final marker; the file goes too unless frames are out."""
        if self._part is not None:
            self._part.abort(keep=keep)
        self._keys.wipe()


def _continued(header: KeyLogHeader, last_hash: bytes, *, created_us: int) -> KeyLogHeader:
    """The header of the log that goes on after one."""
    kept_us = header.expires_unix_us - header.created_unix_us
    return replace(
        header,
        previous_log=last_hash,
        created_unix_us=created_us,
        expires_unix_us=created_us + kept_us if header.expires_unix_us else 0,
    )
