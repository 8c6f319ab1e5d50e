"""The key log of a job: header, keyed identities, records in order; or nothing at all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from engines.arrays import Float32Array
from streamer.analysis import Analysis
from streamer.identity_prior import IdentityPrior
from streamer.key_choice import KeyChoice
from streamer.key_log import (
    End,
    Face,
    Gap,
    KeyLogHeader,
    KeyLogWriter,
    Note,
    Record,
    ScopeKey,
)
from streamer.key_log_records import EndStatus
from streamer.key_log_shift import shifted
from streamer.keys import KeyScope
from streamer.logged_tracks import LoggedTracks
from streamer.models import Models
from streamer.scope_keys import ScopeKeys
from streamer.seal_budget import SealGate
from streamer.video_digest import SegmentDigester

__all__ = ["JobLog"]


class JobLog:
    """What one job leaves for recovery.

    `add` is called by one thread, in frame order; another one may bring identities meanwhile.

    Args:
        writer: the open log, None when the job is irreversible.
        keys: rotation keys of the run.
        header: header of the recording.
        models: the networks, for the space that identities lie in.
        shift: added to each pts, so that the log has the times of the output.
        source_name: name of the source, kept encrypted.
        wipes_keys: wipe the keys at the end; False when another log goes on with them.
        gate: decides whether originals may be kept; None: always.
    """

    def __init__(
        self,
        writer: KeyLogWriter | None,
        keys: ScopeKeys,
        header: KeyLogHeader,
        models: Models,
        *,
        shift: int,
        source_name: str,
        wipes_keys: bool = True,
        gate: SealGate | None = None,
    ) -> None:
        self._writer = writer
        self._scope_keys = keys
        self._gate = gate
        self._source_name = source_name
        self._header = header
        self._shift = shift
        self._wipes_keys = wipes_keys
        self._tracks = LoggedTracks(header, models.space, keys.of)
        self._first_pts: int | None = None
        self._last_pts: int | None = None
        self._digester = SegmentDigester(header.codec)
        self._is_ended = False
        self._bytes_before = 0
        self._begin()

    def _begin(self) -> None:
        """Write what belongs to all of a recording."""
        writer, scope = self._writer, self._header.scope
        if writer is not None:
            writer.append(Note("source", self._source_name))
            if scope is not KeyScope.TRACK:
                name = self._tracks.scope_id(0)
                writer.append(ScopeKey(scope, name, self._scope_keys.of(name)))

    @property
    def path(self) -> Path | None:
        """Where the log lies, None when there is none."""
        return None if self._writer is None else self._writer.path

    @property
    def size_bytes(self) -> int:
        """How much of the log is on the disk, 0 when there is none."""
        return self._bytes_before + (0 if self._writer is None else self._writer.size_bytes)

    def scope_id(self, identity_id: int) -> str:
        """The name under which the key of an identity is derived."""
        return self._tracks.scope_id(identity_id)

    def propose(self, identity_id: int, original: Float32Array, attempt: int) -> Float32Array:
        """The (512,) embedding of the new face that an identity gets by one of its keys."""
        return self._tracks.propose(identity_id, original, attempt)

    def recall(
        self, identity_id: int, read: Float32Array, attempt: int, prior: IdentityPrior | None
    ) -> Float32Array:
        """The (K,) coordinates that an identity read in a new face leads back to by a key."""
        return self._tracks.recall(identity_id, read, attempt, prior)

    def protect(
        self,
        identity_id: int,
        original: Float32Array,
        attempt: int = 0,
        *,
        drawn: Float32Array | None = None,
    ) -> Float32Array:
        """As `propose`; the original (512,) embedding and the key are remembered from here on.

        `drawn` is what is turned in place of the original; None: the original itself.
        """
        return self._tracks.protect(identity_id, original, attempt, drawn)

    def assign(self, track_id: int, identity_id: int) -> None:
        """Say whose identity a track has; the log learns it before the track's next face."""
        self._tracks.assign(track_id, identity_id)

    def forget(self, track_id: int) -> None:
        """A track has ended for good; keeps the memory of endless jobs flat."""
        self._tracks.forget(track_id)

    def identities(self, analysis: Analysis) -> dict[int, Float32Array]:
        """Identity id -> (512,) embedding of its new face, for a whole file."""
        for track_id, identity_id in analysis.plans.identities().items():
            self.assign(track_id, identity_id)
        wanted = self._tracks.identity_ids & set(analysis.embeddings)
        found = {}
        for key in sorted(wanted):
            choice = analysis.choices.get(key, KeyChoice())
            original = analysis.embeddings[key]
            found[key] = self.protect(key, original, choice.attempt, drawn=choice.drawn)
        return found

    def add(self, records: Sequence[Record], pts: int) -> None:
        """Add the records of the next frame, and before them those of tracks that begin in it.

        Raises:
            KeyLogError: the log cannot be written, so the frame must not be written either.
        """
        pts += self._shift
        self._first_pts = pts if self._first_pts is None else self._first_pts
        self._last_pts = pts
        if self._writer is None:
            return
        if self._gate is not None:
            records, gap = self._gate.let_in(records, pts - self._shift, log_bytes=self.size_bytes)
            if gap is not None:
                self.note(gap)
        for record in records:
            if isinstance(record, Face):
                begin = self._tracks.introduction(record.track_id, pts)
                if begin is not None:
                    self._writer.append(begin)
            self._writer.append(shifted(record, self._shift))

    def note(self, record: Gap | Note) -> None:
        """Add a record that belongs to no frame, such as a gap.

        Raises:
            KeyLogError: the log cannot be written.
        """
        if self._writer is not None:
            self._writer.append(shifted(record, self._shift))

    def coded(self, pts: int, packet: bytes, is_keyframe: bool) -> None:
        """Take a coded picture of the output; digests of its segments prove later what it was."""
        if self._writer is not None and not self._is_ended:
            done = self._digester.add(pts, packet, is_keyframe=is_keyframe)
            if done is not None:
                self._writer.append(done)

    def flush(self) -> None:
        """Bring to the disk what the log holds in memory; nothing once it has ended.

        Raises:
            KeyLogError: the log cannot be written, so the video must not be written either.
        """
        if self._writer is not None and not self._is_ended:
            self._writer.flush()

    def rotate(self, begin: Callable[[bytes], KeyLogWriter], *, frames: int) -> None:
        """Go on in another log, with a new file key; faces keep their looks.

        Args:
            begin: makes the next log, given the last hash of this one.
            frames: frames of the log that ends.

        Raises:
            KeyLogError: one cannot be ended, or the other not be made.
        """
        writer = self._writer
        if writer is None:
            return
        self._end_gap()
        writer.close(self._end("continued", frames))
        self._bytes_before += writer.size_bytes
        self._writer = begin(writer.last_hash)
        self._tracks.begin_again()
        self._first_pts = self._last_pts = None
        self._begin()

    @property
    def last_hash(self) -> bytes:
        """Last hash of the log once it is closed, zeros when there is none; 32 bytes."""
        return bytes(32) if self._writer is None else self._writer.last_hash

    def _end(self, status: EndStatus, frames: int) -> End:
        if self._first_pts is None or self._last_pts is None:
            return End(status=status, frames=frames)
        return End(status=status, frames=frames, first_pts=self._first_pts, last_pts=self._last_pts)

    def _end_gap(self) -> None:
        gap = None if self._gate is None else self._gate.end()
        if gap is not None:
            self.note(gap)

    def close(self, *, frames: int, was_interrupted: bool) -> None:
        """Write the final marker and forget the keys."""
        self._is_ended = True
        last = self._digester.finish()
        if self._writer is not None:
            if last is not None:
                self._writer.append(last)
            self._end_gap()
            self._writer.close(self._end("interrupted" if was_interrupted else "complete", frames))
        if self._wipes_keys:
            self._scope_keys.wipe()

    def abort(self, *, keep: bool) -> None:
        """End without a final marker; the file goes too unless frames are out."""
        self._is_ended = True
        if self._writer is not None:
            self._writer.abort()
            if not keep:
                self._writer.path.unlink(missing_ok=True)
        if self._wipes_keys:
            self._scope_keys.wipe()
