"""Builds key logs for tests: valid ones through the writer, broken ones byte by byte."""

from __future__ import annotations

import hashlib
import itertools
import struct
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from pathlib import Path

import numpy as np

from streamer.key_log import (
    End,
    Face,
    Gap,
    KeyLogHeader,
    KeyLogWriter,
    Note,
    Recipient,
    Record,
    SealedPatch,
    Thumbnail,
    TrackStart,
    VideoDigest,
)
from streamer.key_log_access import Access, Stanza, encode_access
from streamer.key_log_chunks import ChunkKind, ChunkPrefix, encode_prefix
from streamer.key_log_crypto import FileKeys, X25519Identity, chunk_hash
from streamer.key_log_format import chunk_span, encode_record
from streamer.key_log_header import MAGIC, core_hash, encode_core
from streamer.key_log_recipients import password_stanza
from streamer.key_log_records import NO_PTS, NO_TRACK
from streamer.keys import KdfParams, KeyScope

PASSWORD = b"six random words make a passphrase"
CHEAP = KdfParams(bytes(range(16)), memory_kib=64, iterations=1, lanes=1)


def counted_bytes(seed: str = "veilstream test") -> Callable[[int], bytes]:
    """A repeatable source of bytes that never gives the same twice."""
    counter = itertools.count()

    def take(size: int) -> bytes:
        block = hashlib.sha256(f"{seed} {next(counter)}".encode()).digest()
        return (block * (size // 32 + 1))[:size]

    return take


def make_header(**changes: object) -> KeyLogHeader:
    header = KeyLogHeader(
        recording_id=bytes(range(100, 116)),
        created_unix_us=1_790_000_000_000_000,
        width=1280,
        height=720,
        time_base=Fraction(1, 90000),
        angle_deg=90.0,
        level=255,
        is_sealed=True,
        is_assisted=True,
        kdf=CHEAP,
        tool="veilstream 0.1.0",
        codec="h264",
        pixel_format="yuv420p",
        models=(("detector", bytes([1] * 32)), ("encoder", bytes([2] * 32))),
        labels=(("site", "gate 3"),),
    )
    return replace(header, **changes)  # type: ignore[arg-type]  # fields by name, from tests


def make_track(track_id: int = 0, *, pts: int = 0, **changes: object) -> TrackStart:
    z = np.linspace(-1, 1, 8, dtype=np.float16)
    track = TrackStart(
        track_id, pts, KeyScope.TRACK, str(track_id), bytes([7 + track_id % 200] * 32), 90.0, z
    )
    return replace(track, **changes)  # type: ignore[arg-type]  # fields by name, from tests


def make_face(track_id: int = 0, *, pts: int = 0, is_generated: bool = True) -> Face:
    box = np.array([10.5, 20.25, 110.5, 140.75], np.float32)
    matrix = np.array([[0.75, -0.1, 12.0], [0.1, 0.75, 18.5]], np.float64)
    return Face(track_id, pts, box, matrix, is_generated=is_generated, is_filled=not is_generated)


def make_patch(track_id: int = 0, *, pts: int = 0, size: int = 40) -> SealedPatch:
    return SealedPatch(track_id, pts, 10, 20, 100, 122, bytes(i % 251 for i in range(size)))


def make_thumbnail(track_id: int = 0, *, pts: int = 0, size: int = 30) -> Thumbnail:
    return Thumbnail(track_id, pts, bytes(i % 241 for i in range(size)))


def sample_records() -> list[Record]:
    """Every kind of record that a track-scope log has, in a natural order."""
    records: list[Record] = [Note("source", "camera at gate 3"), make_track(0, pts=3000)]
    for pts in (3000, 6000):
        records += [make_face(0, pts=pts), make_patch(0, pts=pts)]
    records += [make_track(5, pts=9000, z=None), make_face(5, pts=9000, is_generated=False)]
    records += [make_track(5, pts=12000, revision=1), make_face(5, pts=12000)]
    records.append(VideoDigest(0, 3000, 12000, 4, bytes([9] * 32), method=2))
    records.append(Gap(12001, 20000, "frames dropped"))
    return records


def write_log(
    path: Path,
    records: list[Record],
    *,
    header: KeyLogHeader | None = None,
    password: bytes | None = PASSWORD,
    recipients: tuple[Recipient, ...] = (),
    end: End | None = None,
    signer: object = None,
    seed: str = "veilstream test",
) -> Path:
    """A whole log through the writer, its random bytes repeatable."""
    with KeyLogWriter.create(
        path,
        header=header or make_header(),
        password=password,
        recipients=recipients,
        signer=signer,  # type: ignore[arg-type]  # an Ed25519 key or None
        background=False,
        now=lambda: 0.0,
        random_bytes=counted_bytes(seed),
    ) as writer:
        for record in records:
            writer.append(record)
        writer.close(end or End(frames=4, first_pts=3000, last_pts=12000))
    return path


def identity(number: int) -> X25519Identity:
    return X25519Identity(secret(number))


def secret(number: int) -> bytes:
    return hashlib.sha256(f"veilstream test secret {number}".encode()).digest()


@dataclass
class Forge:
    """A log in the making, any part of which may be wrong.

    Attributes:
        core: bytes of the header's core.
        chunks: whole chunks, in file order.
    """

    header: KeyLogHeader = field(default_factory=make_header)
    core: bytes = b""
    access: bytes = b""
    chunks: list[bytes] = field(default_factory=list)
    tracks: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.core = self.core or encode_core(self.header)
        self.keys = FileKeys(counted_bytes("file key")(32), core_hash(self.core))
        if not self.access:
            self.access = encode_access(Access(0, (self.password_stanza(),)))

    def password_stanza(self, password: bytes = PASSWORD, label: str = "password") -> Stanza:
        source = counted_bytes(f"salt {label}")
        return password_stanza(self.keys, password, CHEAP, label=label, random_bytes=source)

    @property
    def previous(self) -> bytes:
        return self.chunks[-1][-32:] if self.chunks else self.keys.core_hash

    def add(self, kind: ChunkKind, data: bytes, **changes: object) -> Forge:
        """Appends a chunk of encoded records; prefix fields may be overridden by name."""
        if kind is ChunkKind.TRACK_INFO:
            self.tracks.add(struct.unpack("<I", data[5:9])[0])
        fields: dict[str, object] = {
            "body_size": len(data) + 16,
            "index": len(self.chunks),
            "kind": kind,
            "track_id": struct.unpack("<I", data[5:9])[0] if kind.has_track else NO_TRACK,
            "tracks": len(self.tracks),
            "first_pts": NO_PTS,
            "last_pts": NO_PTS,
            "previous": self.previous,
        }
        prefix = ChunkPrefix(**{**fields, **changes})  # type: ignore[arg-type]  # by name
        body = self.keys.seal(prefix, data)
        raw = encode_prefix(prefix)
        self.chunks.append(raw + body + chunk_hash(raw, body))
        return self

    def put(self, kind: ChunkKind, *records: Record, **changes: object) -> Forge:
        """Appends a chunk of records with their right span."""
        first, last = chunk_span(records)
        data = b"".join(map(encode_record, records))
        return self.add(kind, data, **{"first_pts": first, "last_pts": last, **changes})

    def start(self) -> Forge:
        """Track 0 with a face, as the beginning of most broken logs."""
        self.put(ChunkKind.TRACK_INFO, make_track(0))
        return self.put(ChunkKind.TRACK_DATA, make_face(0, pts=3000))

    def finish(self, **changes: object) -> Forge:
        end = End(frames=1, tracks=len(self.tracks), first_pts=0, last_pts=3000)
        return self.put(ChunkKind.FINAL, replace(end, **changes))  # type: ignore[arg-type]

    def envelope(self, *, magic: bytes = MAGIC) -> bytes:
        covered = magic + struct.pack("<I", len(self.core)) + self.core
        covered += struct.pack("<I", len(self.access)) + self.access
        return recheck(covered + self.keys.header_mac(covered) + bytes(32))

    def build(self) -> bytes:
        return self.envelope() + b"".join(self.chunks)


def recheck(envelope: bytes) -> bytes:
    """A header with its public checksum made right again, as an enemy would."""
    return envelope[:-32] + hashlib.sha256(envelope[:-32]).digest()


def rehash(chunk: bytes) -> bytes:
    """A chunk with its public hash made right again, as an enemy would."""
    return chunk[:-32] + hashlib.sha256(chunk[:-32]).digest()


def rechain(chunks: list[bytes], start: bytes) -> bytes:
    """Chunks with all public links made right again, as an enemy would."""
    out, previous = [], start
    for chunk in chunks:
        linked = rehash(chunk[:41] + previous + chunk[73:])
        previous = linked[-32:]
        out.append(linked)
    return b"".join(out)


def flip(data: bytes, at: int, mask: int = 1) -> bytes:
    """One byte changed."""
    at %= len(data)
    return data[:at] + bytes([data[at] ^ mask]) + data[at + 1 :]
