"""The records inside a key log's chunks: tracks, faces, sealed regions, digests.

Layout and rules: docs/keylog-format.md, section 4. No I/O and no cryptography.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal, TypeAlias

import numpy as np

from engines.arrays import AnyArray
from streamer.key_log_faces import (
    MAX_PTS,
    NO_PTS,
    NO_TRACK,
    Face,
    SealedPatch,
    Thumbnail,
    TrackRecord,
    check_track,
)
from streamer.key_log_wire import check_range
from streamer.keys import KEY_BYTES, KeyScope
from streamer.rotation_kinds import check_rotation

__all__ = [
    "NO_PTS",
    "NO_TRACK",
    "End",
    "EndStatus",
    "Face",
    "Gap",
    "GapReason",
    "Note",
    "Record",
    "ScopeKey",
    "SealedPatch",
    "Thumbnail",
    "TrackRecord",
    "TrackStart",
    "VideoDigest",
    "record_span",
]

_MAX_U64: Final = (1 << 64) - 1


@dataclass(frozen=True, slots=True)
class ScopeKey:
    """The rotation key of a whole recording or camera.

    Attributes:
        scope: RECORDING or CAMERA (a track's key is in its TrackStart).
        scope_id: as `scope_id_for` spells it.
        key: 32 bytes.
    """

    scope: KeyScope
    scope_id: str
    key: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if self.scope is KeyScope.TRACK or len(self.key) != KEY_BYTES:
            raise ValueError("a scope key is for a recording or camera and has 32 bytes")


@dataclass(frozen=True, slots=True)
class Note:
    """Confidential free text, such as the name of the source.

    Attributes:
        key: what it is about.
        text: at most 65,535 bytes of UTF-8.
    """

    key: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class TrackStart:
    """A track, the rotation of its identity, and for assisted recovery the identity itself.

    Attributes:
        track_id: number of the track.
        pts: first frame for which this holds.
        scope: which appearances share the rotation.
        scope_id: as `scope_id_for` spells it.
        key: 32 bytes, the track's own rotation key, exactly in track scope; else None.
        angle_deg: rotation angle, over 0 up to 180.
        z: (D,) float16 or float32 original embedding, or None.
        norm: what `rotated_norm` gave.
        revision: counts refreshed identities of the same track; the highest holds.
        rotation: "orthogonal" or "reference".
        rotation_version: version of the construction.
    """

    track_id: int
    pts: int
    scope: KeyScope
    scope_id: str
    key: bytes | None = field(repr=False)
    angle_deg: float
    z: AnyArray | None = field(default=None, repr=False)
    norm: float = 1.0
    revision: int = 0
    rotation: str = "orthogonal"
    rotation_version: int = 1

    def __post_init__(self) -> None:
        check_track(self.track_id, self.pts)
        check_range("revision", self.revision, 0, 0xFFFF)
        check_rotation(self.rotation, self.rotation_version)
        if not 0.0 < self.angle_deg <= 180.0 or not 0.0 < self.norm < math.inf:
            raise ValueError("angle_deg must be over 0 up to 180, and norm over 0")
        if (self.key is not None) != (self.scope is KeyScope.TRACK):
            raise ValueError("a track record holds a key exactly in track scope")
        if self.key is not None and len(self.key) != KEY_BYTES:
            raise ValueError(f"a track key has {KEY_BYTES} bytes")
        if self.z is None:
            return
        if self.z.ndim != 1 or self.z.dtype not in (np.float16, np.float32):
            raise ValueError("z must be a vector of float16 or float32")
        check_range("length of z", len(self.z), 1, 0xFFFF)
        if not np.isfinite(self.z).all():
            raise ValueError("z must be finite")


@dataclass(frozen=True, slots=True)
class VideoDigest:
    """Digest of one segment of the anonymised video.

    Attributes:
        segment: counts from 0.
        first_pts: first frame.
        last_pts: last frame.
        frames: number of frames, at least 1.
        digest: 32 bytes, SHA-256.
        method: 1 decoded frames, 2 coded slices.
    """

    segment: int
    first_pts: int
    last_pts: int
    frames: int
    digest: bytes
    method: int = 1

    def __post_init__(self) -> None:
        check_range("segment", self.segment, 0, 0xFFFFFFFF)
        check_range("frames", self.frames, 1, 0xFFFFFFFF)
        check_range("digest method", self.method, 1, 2)
        _check_span(self.first_pts, self.last_pts)
        if len(self.digest) != 32:
            raise ValueError("a digest has 32 bytes")


GapReason: TypeAlias = Literal["other", "source lost", "frames dropped", "disk short", "off"]


@dataclass(frozen=True, slots=True)
class Gap:
    """A time for which the log knows that something is missing.

    Attributes:
        first_pts: where it begins.
        last_pts: where it ends.
        reason: why.
    """

    first_pts: int
    last_pts: int
    reason: GapReason = "other"

    def __post_init__(self) -> None:
        _check_span(self.first_pts, self.last_pts)


EndStatus: TypeAlias = Literal["complete", "interrupted", "failed", "continued"]


@dataclass(frozen=True, slots=True)
class End:
    """The final marker's summary.

    Attributes:
        status: how the run ended; "continued": the recording goes on in the next log.
        frames: frames written.
        tracks: tracks seen; the writer fills it in.
        faces: faces logged; the writer fills it in.
        generated: of these with a new face; the writer fills it in.
        filled: of these filled; the writer fills it in.
        first_pts: first frame, or NO_PTS.
        last_pts: last frame, or NO_PTS.
    """

    status: EndStatus = "complete"
    frames: int = 0
    tracks: int = 0
    faces: int = 0
    generated: int = 0
    filled: int = 0
    first_pts: int = NO_PTS
    last_pts: int = NO_PTS

    def __post_init__(self) -> None:
        for value in (self.frames, self.faces, self.generated, self.filled):
            check_range("count", value, 0, _MAX_U64)
        check_range("tracks", self.tracks, 0, 0xFFFFFFFF)
        if (self.first_pts == NO_PTS) != (self.last_pts == NO_PTS):
            raise ValueError("both pts of a summary are given, or none")
        if self.first_pts != NO_PTS:
            _check_span(self.first_pts, self.last_pts)


Record: TypeAlias = ScopeKey | Note | TrackStart | TrackRecord | VideoDigest | Gap | End


def record_span(record: Record) -> tuple[int, int] | None:
    """First and last pts of a record, or None if it has none."""
    if isinstance(record, TrackStart | TrackRecord):
        return record.pts, record.pts
    if isinstance(record, ScopeKey | Note) or record.first_pts == NO_PTS:
        return None
    return record.first_pts, record.last_pts


def _check_span(first_pts: int, last_pts: int) -> None:
    check_range("first_pts", first_pts, NO_PTS + 1, MAX_PTS)
    check_range("last_pts", last_pts, first_pts, MAX_PTS)
