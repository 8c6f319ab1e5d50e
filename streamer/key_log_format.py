"""The key log's record codec: records to bytes and back.

Layout and rules: docs/keylog-format.md, section 4. No I/O and no cryptography.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import Any, Final, get_args

import numpy as np

from engines.arrays import AnyArray
from engines.errors import KeyLogFormatError
from streamer.key_log_chunks import ChunkKind
from streamer.key_log_header import SCOPES
from streamer.key_log_records import (
    NO_PTS,
    End,
    EndStatus,
    Face,
    Gap,
    GapReason,
    Note,
    Record,
    ScopeKey,
    SealedPatch,
    Thumbnail,
    TrackRecord,
    TrackStart,
    VideoDigest,
    record_span,
)
from streamer.key_log_wire import ByteReader, pack_bytes16, pack_str8
from streamer.rotation_kinds import ROTATION_KINDS, rotation_code

__all__ = [
    "chunk_kind_of",
    "chunk_span",
    "decode_records",
    "encode_record",
]

_GAP_REASONS: Final[tuple[GapReason, ...]] = get_args(GapReason)
_END_STATUSES: Final[tuple[EndStatus, ...]] = get_args(EndStatus)
_Z_TYPES: Final[dict[int, np.dtype[Any]]] = {1: np.dtype("<f2"), 2: np.dtype("<f4")}
_FACE: Final = struct.Struct("<Iq4f6dB")
_PATCH: Final = struct.Struct("<IqIIIIBI")
_THUMBNAIL: Final = struct.Struct("<IqBH")


_KIND_OF: Final[dict[type[Record], ChunkKind]] = {
    ScopeKey: ChunkKind.GENERAL,
    Note: ChunkKind.GENERAL,
    TrackStart: ChunkKind.TRACK_INFO,
    Face: ChunkKind.TRACK_DATA,
    SealedPatch: ChunkKind.TRACK_DATA,
    Thumbnail: ChunkKind.TRACK_DATA,
    VideoDigest: ChunkKind.PUBLIC,
    Gap: ChunkKind.PUBLIC,
    End: ChunkKind.FINAL,
}
_TYPE_CODES: Final[dict[type[Record], int]] = {
    ScopeKey: 0x01,
    Note: 0x02,
    TrackStart: 0x10,
    Face: 0x20,
    SealedPatch: 0x21,
    Thumbnail: 0x22,
    VideoDigest: 0x30,
    Gap: 0x31,
    End: 0x3F,
}
_SINGLE: Final = (ChunkKind.TRACK_INFO, ChunkKind.FINAL)


def chunk_kind_of(record: Record) -> ChunkKind:
    """The kind of chunk that a record belongs into."""
    return _KIND_OF[type(record)]


def chunk_span(records: Iterable[Record]) -> tuple[int, int]:
    """First and last pts of some records; NO_PTS twice if they have none."""
    spans = [span for span in map(record_span, records) if span is not None]
    if not spans:
        return NO_PTS, NO_PTS
    return min(first for first, _ in spans), max(last for _, last in spans)


def encode_record(record: Record) -> bytes:
    """One record with its type and size.

    Raises:
        ValueError: a text is too long.
    """
    body = _encode_body(record)
    return struct.pack("<BI", _TYPE_CODES[type(record)], len(body)) + body


def decode_records(data: bytes, kind: ChunkKind, track_id: int) -> tuple[Record, ...]:
    """All records of a chunk.

    Args:
        data: the decrypted records.
        kind: of the chunk; decides which records are allowed.
        track_id: of the chunk; must be that of every record, or NO_TRACK.

    Raises:
        KeyLogFormatError: a record breaks its rules or is not allowed here.
    """
    reader = ByteReader(data, "key log chunk")
    records: list[Record] = []
    while reader.remaining or not records:  # an empty chunk is refused as too short
        code = reader.u8()
        body = ByteReader(reader.take(reader.u32()), f"key log record 0x{code:02x}")
        try:
            record = _decode_body(code, body)
        except (ValueError, IndexError, KeyError, struct.error) as exc:
            raise KeyLogFormatError(f"key log record 0x{code:02x}: {exc}") from None
        body.finish()
        if chunk_kind_of(record) is not kind:
            raise KeyLogFormatError(f"record 0x{code:02x} is not allowed in a {kind.name} chunk")
        if isinstance(record, TrackStart | TrackRecord) and record.track_id != track_id:
            raise KeyLogFormatError("a record belongs to another track than its chunk")
        records.append(record)
    if kind in _SINGLE and len(records) != 1:
        raise KeyLogFormatError(f"a {kind.name} chunk holds one record, not {len(records)}")
    return tuple(records)


def _encode_body(record: Record) -> bytes:
    if isinstance(record, Face):
        return _encode_face(record)
    if isinstance(record, SealedPatch):
        p = record
        head = _PATCH.pack(p.track_id, p.pts, p.x, p.y, p.width, p.height, p.codec, len(p.payload))
        return head + p.payload
    if isinstance(record, Thumbnail):
        t = record
        return _THUMBNAIL.pack(t.track_id, t.pts, t.codec, len(t.payload)) + t.payload
    if isinstance(record, TrackStart):
        return _encode_track(record)
    if isinstance(record, ScopeKey):
        return bytes([SCOPES.index(record.scope)]) + pack_str8(record.scope_id) + record.key
    if isinstance(record, Note):
        return pack_str8(record.key) + pack_bytes16(record.text.encode())
    if isinstance(record, VideoDigest):
        span = (record.segment, record.first_pts, record.last_pts, record.frames, record.method)
        return struct.pack("<IqqIB", *span) + record.digest
    if isinstance(record, Gap):
        reason = _GAP_REASONS.index(record.reason)
        return struct.pack("<qqB", record.first_pts, record.last_pts, reason)
    return _encode_end(record)


def _encode_face(face: Face) -> bytes:
    flags = face.is_generated | face.is_filled << 1 | face.is_coasting << 2
    box, matrix = face.box_xyxy_px.tolist(), face.frame_from_crop.ravel().tolist()
    return _FACE.pack(face.track_id, face.pts, *box, *matrix, flags)


def _encode_track(track: TrackStart) -> bytes:
    if track.z is None:
        z_type, z_size, z = 0, 0, b""
    else:
        z_type, z_size = (1 if track.z.dtype == np.float16 else 2), len(track.z)
        z = track.z.astype(_Z_TYPES[z_type]).tobytes()
    return b"".join(
        (
            struct.pack("<IHqB", track.track_id, track.revision, track.pts, _scope_code(track)),
            pack_str8(track.scope_id),
            b"\0" if track.key is None else b"\1" + track.key,
            bytes([rotation_code(track.rotation), track.rotation_version]),
            struct.pack("<ddBH", track.angle_deg, track.norm, z_type, z_size),
            z,
        )
    )


def _scope_code(track: TrackStart) -> int:
    return SCOPES.index(track.scope)


def _encode_end(end: End) -> bytes:
    counts = (end.frames, end.tracks, end.faces, end.generated, end.filled)
    status = _END_STATUSES.index(end.status)
    return struct.pack("<BQIQQQqq", status, *counts, end.first_pts, end.last_pts)


def _decode_body(code: int, reader: ByteReader) -> Record:
    if code == 0x20:
        return _decode_face(reader)
    if code == 0x21:
        track_id, pts, x, y, width, height, codec, size = _PATCH.unpack(reader.take(_PATCH.size))
        return SealedPatch(track_id, pts, x, y, width, height, reader.take(size), codec)
    if code == 0x22:
        track_id, pts, codec, size = _THUMBNAIL.unpack(reader.take(_THUMBNAIL.size))
        return Thumbnail(track_id, pts, reader.take(size), codec)
    if code == 0x10:
        return _decode_track(reader)
    if code == 0x01:
        return ScopeKey(SCOPES[reader.u8()], reader.str8(), reader.take(32))
    if code == 0x02:
        return Note(reader.str8(), reader.text(reader.u16()))
    if code == 0x30:
        segment, first, last = reader.u32(), reader.i64(), reader.i64()
        frames, method = reader.u32(), reader.u8()
        return VideoDigest(segment, first, last, frames, reader.take(32), method)
    if code == 0x31:
        return Gap(reader.i64(), reader.i64(), _GAP_REASONS[reader.u8()])
    if code == 0x3F:
        status, *values = struct.unpack("<BQIQQQqq", reader.take(53))
        return End(_END_STATUSES[status], *values)
    raise KeyLogFormatError(f"unknown key log record 0x{code:02x}")


def _decode_face(reader: ByteReader) -> Face:
    track_id, pts, *values, flags = _FACE.unpack(reader.take(_FACE.size))
    if flags >> 3:
        raise KeyLogFormatError("a face has unknown flags")
    return Face(
        track_id,
        pts,
        np.array(values[:4], np.float32),
        np.array(values[4:], np.float64).reshape(2, 3),
        is_generated=bool(flags & 1),
        is_filled=bool(flags & 2),
        is_coasting=bool(flags & 4),
    )


def _decode_track(reader: ByteReader) -> TrackStart:
    track_id, revision, pts = reader.u32(), reader.u16(), reader.i64()
    scope, scope_id = SCOPES[reader.u8()], reader.str8()
    key = reader.take(32) if reader.flag() else None
    rotation, version = ROTATION_KINDS[reader.u8()], reader.u8()
    angle_deg, norm = reader.f64s(2)
    z_type, z_size = reader.u8(), reader.u16()
    if (z_type == 0) != (z_size == 0):
        raise KeyLogFormatError("a track's z has a size without a type, or the other way round")
    z: AnyArray | None = None
    if z_type:
        dtype = _Z_TYPES[z_type]
        z = np.frombuffer(reader.take(z_size * dtype.itemsize), dtype).copy()
    return TrackStart(
        track_id, pts, scope, scope_id, key, angle_deg, z, norm, revision, rotation, version
    )
