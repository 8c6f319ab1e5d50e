"""The key log's chunks: kinds and the public prefix, to bytes and back.

Layout and rules: docs/keylog-format.md, section 3. No I/O and no cryptography.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from engines.errors import KeyLogFormatError
from streamer.key_log_records import NO_PTS, NO_TRACK

__all__ = [
    "CHUNK_HASH_BYTES",
    "MARKER",
    "MAX_BODY",
    "MAX_RECORDS",
    "PREFIX_BYTES",
    "SIGNATURE_BYTES",
    "TAG_BYTES",
    "ChunkKind",
    "ChunkPrefix",
    "decode_prefix",
    "encode_prefix",
]

MARKER: Final = b"VSC1"
TAG_BYTES: Final = 16
MAX_RECORDS: Final = 1 << 24
MAX_BODY: Final = MAX_RECORDS + TAG_BYTES
CHUNK_HASH_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
_PREFIX: Final = struct.Struct("<4sIQBIIqq32s")
PREFIX_BYTES: Final = _PREFIX.size


class ChunkKind(IntEnum):
    """What a chunk holds, and so which key opens it."""

    GENERAL = 1
    TRACK_INFO = 2
    TRACK_DATA = 3
    PUBLIC = 4
    FINAL = 5
    SIGNATURE = 6

    @property
    def has_track(self) -> bool:
        """Whether it belongs to one track."""
        return self in (ChunkKind.TRACK_INFO, ChunkKind.TRACK_DATA)

    @property
    def is_plain(self) -> bool:
        """Whether its records are public (but authenticated)."""
        return self in (ChunkKind.PUBLIC, ChunkKind.FINAL)


@dataclass(frozen=True, slots=True)
class ChunkPrefix:
    """The public part of a chunk.

    Attributes:
        body_size: bytes between prefix and chunk hash.
        index: counts from 0.
        kind: what the chunk holds.
        track_id: its track, or NO_TRACK.
        tracks: different tracks so far.
        first_pts: first pts of its records, or NO_PTS.
        last_pts: last pts, or NO_PTS.
        previous: 32 bytes, hash of the chunk before (H of the header for the first).
    """

    body_size: int
    index: int
    kind: ChunkKind
    track_id: int
    tracks: int
    first_pts: int
    last_pts: int
    previous: bytes


def encode_prefix(prefix: ChunkPrefix) -> bytes:
    """73 bytes."""
    return _PREFIX.pack(
        MARKER,
        prefix.body_size,
        prefix.index,
        prefix.kind,
        prefix.track_id,
        prefix.tracks,
        prefix.first_pts,
        prefix.last_pts,
        prefix.previous,
    )


def decode_prefix(data: bytes) -> ChunkPrefix:
    """The prefix that `encode_prefix` spells this way.

    Raises:
        KeyLogFormatError: not 73 bytes, no marker, or a field breaks its rules.
    """
    if len(data) != PREFIX_BYTES:
        raise KeyLogFormatError("a chunk prefix is cut short")
    marker, size, index, kind_code, track_id, tracks, first, last, previous = _PREFIX.unpack(data)
    if marker != MARKER:
        raise KeyLogFormatError("a chunk does not begin with its marker")
    try:
        kind = ChunkKind(kind_code)
    except ValueError:
        raise KeyLogFormatError(f"unknown chunk kind {kind_code}") from None
    if kind is ChunkKind.SIGNATURE:
        fits = size == SIGNATURE_BYTES and first == NO_PTS
    else:
        fits = TAG_BYTES < size <= MAX_BODY
    if not fits or (first == NO_PTS) != (last == NO_PTS) or first > last:
        raise KeyLogFormatError("a chunk's size or time span is impossible")
    if kind.has_track == (track_id == NO_TRACK):
        raise KeyLogFormatError("a chunk's track does not fit its kind")
    return ChunkPrefix(size, index, kind, track_id, tracks, first, last, previous)
