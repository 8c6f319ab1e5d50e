"""The key log as recovery reads it: which faces belong to a frame of the anonymised video."""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from typing import Protocol

from engines.arrays import Float32Array
from engines.errors import KeyLogError
from streamer.frames import Frame
from streamer.identity import IdentitySpace
from streamer.key_log import FrameRecords, KeyLogCursor, KeyLogHeader, TrackStart
from streamer.key_log_cursor import ChunkSource
from streamer.keys import KeyScope
from streamer.rotator import Rotator, make_rotator, rotation_kind

__all__ = ["FrameLookup", "RecoveryLog", "RecoverySource"]

# Containers round times to their own units; a millisecond is the coarsest (Matroska).
_TOLERANCE_S = Fraction(6, 10000)


class FrameLookup:
    """Finds the records of frames, which must come in ascending order. Not thread-safe."""

    def __init__(self, cursor: KeyLogCursor, time_base: Fraction) -> None:
        self._cursor = cursor
        self._time_base = time_base
        self._tolerance = max(0, int(_TOLERANCE_S / time_base))

    def of(self, frame: Frame) -> FrameRecords:
        """What the log holds for a frame; empty when it holds nothing."""
        pts = round(frame.pts * frame.time_base / self._time_base)
        return self._cursor.near(pts, self._tolerance)


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


class RecoveryLog:
    """An opened key log and the tracks that are asked for.

    Attributes:
        track_ids: the tracks to bring back.
        tracks: of these the ones whose identity can be read.

    Args:
        reader: the log, open as long as this is used.
        tracks: ids of the tracks to bring back, None for all.

    Raises:
        KeyLogError: a track that was asked for is not in the log.
    """

    def __init__(self, reader: RecoverySource, tracks: Collection[int] | None) -> None:
        self._reader = reader
        starts = {key: revisions[-1] for key, revisions in reader.tracks(salvage=True).items()}
        missing = sorted(set(tracks or ()) - reader.track_ids)
        if missing:
            known = ", ".join(str(key) for key in sorted(reader.track_ids)) or "none"
            raise KeyLogError(f"no track {missing[0]} in the key log; it holds {known}")
        self.track_ids = reader.track_ids if tracks is None else frozenset(tracks)
        self.tracks: dict[int, TrackStart] = {
            key: start for key, start in starts.items() if tracks is None or key in tracks
        }
        self._scope_keys = reader.scope_keys(salvage=True)

    def frames(self) -> FrameLookup:
        """A lookup that starts at the first frame."""
        cursor = KeyLogCursor(self._reader, track_ids=self.track_ids, salvage=True)
        return FrameLookup(cursor, self._reader.header.time_base)

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
            rotation_kind(start.rotation), scope_key=key, angle_deg=start.angle_deg, dim=dim
        )

    def original_identities(
        self, read_back: dict[int, Float32Array], space: IdentitySpace
    ) -> dict[int, Float32Array]:
        """Track id -> original embedding, from what the encoder reads in the new faces.

        Args:
            read_back: track id -> (512,) mean embedding of its synthetic faces.
            space: the subspace that rotations act in.
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
            found[key] = space.embedding(rotators[name].unrotate(coordinates, norm=start.norm))
        return found
