"""The body of a grant: which chunks of which tracks it opens. Codec only, no I/O.

Layout: docs/keylog-format.md, section 10.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from engines.errors import KeyLogFormatError
from streamer.key_log_chunks import ChunkKind
from streamer.key_log_wire import ByteReader, pack_bytes16, pack_str8

__all__ = ["ChunkGrant", "CopiedRecords", "GrantBody", "TrackSpan", "decode_grant", "encode_grant"]


@dataclass(frozen=True, slots=True)
class TrackSpan:
    """A track and the time for which it is opened.

    Attributes:
        track_id: the track.
        first_pts: first frame.
        last_pts: last frame.
    """

    track_id: int
    first_pts: int
    last_pts: int


@dataclass(frozen=True, slots=True)
class ChunkGrant:
    """The key of one chunk.

    Attributes:
        index: of the chunk.
        kind: TRACK_INFO or TRACK_DATA.
        key: 32 bytes.
    """

    index: int
    kind: ChunkKind
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class CopiedRecords:
    """Records of a chunk that reaches over the border of the span.

    Attributes:
        index: of the chunk.
        track_id: its track.
        records: encoded records inside the span.
    """

    index: int
    track_id: int
    records: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class GrantBody:
    """What a grant says and opens.

    Attributes:
        created_unix_us: microseconds since 1970 UTC.
        granted_by: who granted.
        reason: why.
        spans: ascending by track.
        chunks: ascending by index.
        copies: ascending by index.
    """

    created_unix_us: int
    granted_by: str
    reason: str
    spans: tuple[TrackSpan, ...]
    chunks: tuple[ChunkGrant, ...]
    copies: tuple[CopiedRecords, ...]

    def __post_init__(self) -> None:
        for what, numbers in (
            ("tracks", [span.track_id for span in self.spans]),
            ("chunks", [chunk.index for chunk in self.chunks]),
            ("copies", [copy.index for copy in self.copies]),
        ):
            _check_ascending(what, numbers)
        if any(span.first_pts > span.last_pts for span in self.spans):
            raise ValueError("a granted span ends before it begins")
        if not all(chunk.kind.has_track and len(chunk.key) == 32 for chunk in self.chunks):
            raise ValueError("only chunks of tracks can be granted, by keys of 32 bytes")


def encode_grant(body: GrantBody) -> bytes:
    """The bytes of a grant's body.

    Raises:
        ValueError: a text is too long.
    """
    parts = [struct.pack("<q", body.created_unix_us), pack_str8(body.granted_by)]
    parts += [pack_bytes16(body.reason.encode()), struct.pack("<I", len(body.spans))]
    parts += [struct.pack("<Iqq", s.track_id, s.first_pts, s.last_pts) for s in body.spans]
    parts.append(struct.pack("<I", len(body.chunks)))
    parts += [struct.pack("<QB", c.index, c.kind) + c.key for c in body.chunks]
    parts.append(struct.pack("<I", len(body.copies)))
    for copy in body.copies:
        head = struct.pack("<QII", copy.index, copy.track_id, len(copy.records))
        parts += [head, copy.records]
    return b"".join(parts)


def decode_grant(data: bytes) -> GrantBody:
    """The body that `encode_grant` spells this way.

    Raises:
        KeyLogFormatError: any field breaks its rules.
    """
    reader = ByteReader(data, "grant")
    created, granted_by = reader.i64(), reader.str8()
    reason = reader.text(reader.u16())
    try:
        spans = tuple(
            TrackSpan(reader.u32(), reader.i64(), reader.i64()) for _ in range(reader.u32())
        )
        chunks = tuple(
            ChunkGrant(reader.u64(), ChunkKind(reader.u8()), reader.take(32))
            for _ in range(reader.u32())
        )
        copies = tuple(
            CopiedRecords(reader.u64(), reader.u32(), reader.take(reader.u32()))
            for _ in range(reader.u32())
        )
        body = GrantBody(created, granted_by, reason, spans, chunks, copies)
    except ValueError as exc:
        raise KeyLogFormatError(f"grant: {exc}") from None
    reader.finish()
    return body


def _check_ascending(what: str, numbers: Sequence[int]) -> None:
    if any(a >= b for a, b in pairwise(numbers)):
        raise ValueError(f"{what} of a grant must ascend")
