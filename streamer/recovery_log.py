"""The key log as recovery reads it: which faces belong to a frame of the anonymised video."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Protocol

from engines.arrays import Float32Array
from engines.errors import KeyLogError
from streamer.frames import Frame
from streamer.identity import IdentitySpace
from streamer.identity_prior import IdentityPrior
from streamer.key_log import (
    Face,
    Gap,
    KeyLogCursor,
    KeyLogHeader,
    SealedPatch,
    Thumbnail,
    TrackStart,
    VideoDigest,
)
from streamer.key_log_chunks import ChunkKind
from streamer.key_log_cursor import ChunkSource
from streamer.keys import KeyScope
from streamer.recovery_placement import Placed, Placement
from streamer.recovery_scale import Scale, scale_between, scaled_face
from streamer.rotation_kinds import rotation_kind
from streamer.rotator import Rotator, make_rotator

__all__ = ["FrameLookup", "PlacedRecords", "RecoveryLog", "RecoverySource", "TimeSpan"]


_SAME: Final = Scale()


@dataclass(frozen=True, slots=True)
class TimeSpan:
    """Which times of a file are wanted, both ends included; None: no limit.

    Attributes:
        first_s: in seconds of the file's own time stamps.
        last_s: the same.
    """

    first_s: Fraction | None = None
    last_s: Fraction | None = None

    def has(self, time_s: Fraction) -> bool:
        """Whether a time is wanted."""
        is_late = self.last_s is not None and time_s > self.last_s
        return not is_late and (self.first_s is None or time_s >= self.first_s)


@dataclass(frozen=True, slots=True)
class PlacedRecords:
    """What a log holds for one frame of a file.

    Attributes:
        faces: one for each face that was covered.
        patches: sealed original regions.
        placed: where in the recording the frame belongs.
        scale: of the file; the faces are where they lie in it, the patches as they were sealed.
        thumbnails: small pictures of original faces.
    """

    faces: tuple[Face, ...]
    patches: tuple[SealedPatch, ...]
    placed: Placed
    scale: Scale = _SAME
    thumbnails: tuple[Thumbnail, ...] = ()


class RecoverySource(ChunkSource, Protocol):
    """A log that was opened, wholly (`KeyLogReader`) or through a grant (`GrantReader`)."""

    @property
    def header(self) -> KeyLogHeader:
        """What the log says about its recording."""
        ...

    @property
    def track_ids(self) -> frozenset[int]:
        """Tracks that can be read."""
        ...

    @property
    def damage(self) -> tuple[str, ...]:
        """What was found to be wrong so far."""
        ...

    @property
    def is_complete(self) -> bool:
        """Whether the log has its end marker."""
        ...

    def tracks(self, *, salvage: bool = False) -> dict[int, tuple[TrackStart, ...]]:
        """All revisions of the tracks whose identity can be read."""
        ...

    def scope_keys(self, *, salvage: bool = False) -> dict[tuple[KeyScope, str], bytes]:
        """Rotation keys of recording and camera scope."""
        ...

    def public_records(self, *, salvage: bool = False) -> tuple[VideoDigest | Gap, ...]:
        """Digests of the video, and times for which something is missing."""
        ...


class FrameLookup:
    """Finds the records of frames, mostly in ascending order. Not thread-safe.

    Args:
        logs: the open parts of the key log.
        track_ids: of the tracks to find.
        placement: where frames of the file belong.
        span: which times of the file are wanted.
    """

    def __init__(
        self,
        logs: Sequence[RecoverySource],
        track_ids: Collection[int],
        placement: Placement,
        span: TimeSpan,
    ) -> None:
        self._logs = tuple(logs)
        self._track_ids = frozenset(track_ids)
        self._placement = placement
        self._span = span
        self._reached_s: Fraction | None = None
        self._cursors: list[tuple[KeyLogCursor, Fraction]] = []

    def of(self, frame: Frame) -> PlacedRecords:
        """What the log holds for a frame; empty when it holds nothing."""
        time_s = frame.pts * frame.time_base
        placed = self._placement.of(time_s)
        if not self._span.has(time_s):
            return PlacedRecords((), (), placed)
        self._placement.count(time_s, placed)
        if placed.log_s is None:
            return PlacedRecords((), (), placed)
        if self._reached_s is None or placed.log_s < self._reached_s:
            # Cursors go forward only; a file whose parts were put in another order goes back.
            self._cursors = [
                (KeyLogCursor(log, track_ids=self._track_ids, salvage=True), log.header.time_base)
                for log in self._logs
            ]
        self._reached_s = placed.log_s
        faces: list[Face] = []
        patches: list[SealedPatch] = []
        thumbnails: list[Thumbnail] = []
        for cursor, unit in self._cursors:
            found = cursor.near(round(placed.log_s / unit), int(placed.tolerance_s / unit))
            faces += found.faces
            patches += found.patches
            thumbnails += found.thumbnails
        scale = self._scale(frame, placed)
        if not scale.is_one:
            faces = [scaled_face(face, scale) for face in faces]
        return PlacedRecords(tuple(faces), tuple(patches), placed, scale, tuple(thumbnails))

    def _scale(self, frame: Frame, placed: Placed) -> Scale:
        """That of the file. A frame that is proven is as it was recorded, whatever its size."""
        if placed.how == "proven":
            return _SAME
        header = self._logs[0].header
        return scale_between((header.height, header.width), frame.size_hw)


class RecoveryLog:
    """An opened key log, of one part or several, and the tracks that are asked for.

    Attributes:
        track_ids: the tracks to bring back.
        tracks: of these the ones whose identity can be read.
        header: of the first part.

    Args:
        logs: the parts in order, open as long as this is used; at least one.
        tracks: ids of the tracks to bring back, None for all.

    Raises:
        KeyLogError: a track that was asked for is not in the log.
    """

    def __init__(self, logs: Sequence[RecoverySource], tracks: Collection[int] | None) -> None:
        self._logs = tuple(logs)
        self.header = logs[0].header
        known_ids = frozenset[int]().union(*(log.track_ids for log in logs))
        missing = sorted(set(tracks or ()) - known_ids)
        if missing:
            known = ", ".join(str(key) for key in sorted(known_ids)) or "none"
            raise KeyLogError(f"no track {missing[0]} in the key log; it holds {known}")
        self.track_ids = known_ids if tracks is None else frozenset(tracks)
        self.tracks: dict[int, TrackStart] = {}
        self._scope_keys: dict[tuple[KeyScope, str], bytes] = {}
        for log in logs:
            self._scope_keys |= log.scope_keys(salvage=True)
            for key, revisions in log.tracks(salvage=True).items():
                if key in self.track_ids:
                    self.tracks[key] = _newer(self.tracks.get(key), revisions[-1])

    @property
    def damage(self) -> tuple[str, ...]:
        """What was found to be wrong so far, in all parts."""
        return tuple(text for log in self._logs for text in log.damage)

    @property
    def is_complete(self) -> bool:
        """Whether every part has its end marker."""
        return all(log.is_complete for log in self._logs)

    def digests(self) -> tuple[VideoDigest, ...]:
        """What the log says of the video's groups of pictures, by coded slices."""
        found = [record for log in self._logs for record in log.public_records(salvage=True)]
        return tuple(r for r in found if isinstance(r, VideoDigest) and r.method == 2)

    def gaps(self) -> tuple[tuple[float, float, str], ...]:
        """Times for which the log knows that something is missing: from, to (seconds), why."""
        found = [(log, record) for log in self._logs for record in log.public_records(salvage=True)]
        return tuple(
            (float(r.first_pts * unit), float(r.last_pts * unit), r.reason)
            for log, r in found
            if isinstance(r, Gap) and (unit := log.header.time_base)
        )

    def spans_s(self) -> dict[int, tuple[Fraction, Fraction]]:
        """From when to when each track may be seen, in seconds of the log's time."""
        found: dict[int, tuple[Fraction, Fraction]] = {}
        for log in self._logs:
            unit = log.header.time_base
            for ref in log.chunks:
                prefix = ref.prefix
                if prefix.kind is not ChunkKind.TRACK_DATA or prefix.track_id not in self.track_ids:
                    continue
                first_s, last_s = prefix.first_pts * unit, prefix.last_pts * unit
                old = found.get(prefix.track_id, (first_s, last_s))
                found[prefix.track_id] = min(old[0], first_s), max(old[1], last_s)
        return found

    def frames(self, placement: Placement, span: TimeSpan) -> FrameLookup:
        """A lookup that starts at the first frame."""
        return FrameLookup(self._logs, self.track_ids, placement, span)

    def assisted_identities(self) -> dict[int, Float32Array]:
        """Track id -> (512,) original embedding, of the tracks that hold one."""
        return {
            key: start.z.astype("float32")
            for key, start in self.tracks.items()
            if start.z is not None
        }

    def _rotator(self, start: TrackStart, dim: int) -> Rotator:
        key = start.key
        if key is None:
            key = self._scope_keys[(start.scope, start.scope_id)]
        return make_rotator(
            rotation_kind(start.rotation),
            scope_key=key,
            angle_deg=start.angle_deg,
            dim=dim,
            version=start.rotation_version,
        )

    def original_identities(
        self,
        read_back: dict[int, Float32Array],
        space: IdentitySpace,
        prior: IdentityPrior | None = None,
    ) -> dict[int, Float32Array]:
        """Track id -> original embedding, from what was read in the new faces.

        Args:
            read_back: track id -> (512,) mean embedding of its synthetic faces.
            space: the subspace that rotations act in.
            prior: corrects the error of reading; None: taken as it was read.
        """
        rotators: dict[tuple[KeyScope, str], Rotator] = {}
        found = {}
        for key, embedding in read_back.items():
            if key not in self.tracks:
                continue  # a grant without the identity
            start = self.tracks[key]
            name = (start.scope, start.scope_id)
            if name not in rotators:
                rotators[name] = self._rotator(start, space.dim)
            coordinates = space.coordinates(embedding)
            back = rotators[name].unrotate(coordinates, norm=start.norm)
            found[key] = space.embedding(back if prior is None else prior.likeliest(back))
        return found


def _newer(known: TrackStart | None, start: TrackStart) -> TrackStart:
    """The later revision of a track, but never one without its embedding for one that has it."""
    if known is None or start.z is not None or known.z is None:
        return start
    return known
