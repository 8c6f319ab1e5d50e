"""Vectors whose header is good and whose chunks are not."""

from __future__ import annotations

import dataclasses
import struct
from collections.abc import Iterator

from streamer.key_log import Gap, VideoDigest
from streamer.key_log_chunks import ChunkKind
from streamer.key_log_format import encode_record
from streamer.key_log_records import NO_PTS
from tests.key_log_forge import (
    Forge,
    flip,
    make_face,
    make_header,
    make_patch,
    make_thumbnail,
    make_track,
    rechain,
    rehash,
    sample_records,
)
from tests.key_log_vectors import Vector
from tests.vectors.key_log.cases_valid import DEVICE, case, written


def chunk_cases() -> Iterator[tuple[str, Vector]]:
    yield from _cut_cases()
    yield from _flip_cases()
    yield from _order_cases()
    yield from _rewritten_cases()
    yield from _signature_cases()


def _bad(covers: str, body: bytes, *, outer: str = "damaged") -> Vector:
    return case(covers, body, expect="tampered", outer=outer)


def _sample() -> Forge:
    forge = Forge().start()
    forge.put(ChunkKind.TRACK_DATA, make_face(0, pts=6000), make_patch(0, pts=6000))
    forge.put(ChunkKind.PUBLIC, Gap(6001, 7000, "disk short"))
    return forge.put(ChunkKind.TRACK_DATA, make_face(0, pts=8000)).finish()


def _cut_cases() -> Iterator[tuple[str, Vector]]:
    forge = _sample()
    good, envelope = forge.build(), len(forge.envelope())
    first = envelope + len(forge.chunks[0])

    def cut(name: str, covers: str, size: int) -> tuple[str, Vector]:
        vector = case(covers, good[:size], expect="truncated", outer="truncated")
        return f"cut-{name}", vector

    yield cut("after-header", "nothing but the header", envelope)
    yield cut("in-marker", "two bytes of the first marker", envelope + 2)
    yield cut("in-prefix", "inside the second prefix", first + 40)
    yield cut("after-prefix", "after the second prefix", first + 73)
    yield cut("in-body", "inside the second body", first + 80)
    yield cut("in-hash", "inside the second hash", first + len(forge.chunks[1]) - 5)
    yield cut("after-chunk", "between two chunks", first)
    yield cut("before-end", "all but the end marker", len(good) - len(forge.chunks[-1]))
    yield cut("last-byte", "all but the last byte", len(good) - 1)
    signed = written(sample_records(), signer=DEVICE)
    size = 73 + 64 + 32
    vector = case(
        "the end marker is there, the signature is not",
        signed[:-size],
        expect="truncated",
        outer="truncated",
    )
    yield "cut-before-signature", vector


def _flip_cases() -> Iterator[tuple[str, Vector]]:
    forge = _sample()
    envelope = forge.envelope()
    places = {
        "marker": 0,
        "size": 4,
        "size-high": 7,
        "index": 8,
        "kind": 16,
        "track": 17,
        "tracks": 21,
        "first-pts": 25,
        "last-pts": 34,
        "previous": 50,
        "body": 80,
        "tag": -33,
        "hash": -1,
    }
    for name, at in places.items():
        for number, label in ((2, "middle"), (5, "last")):
            chunks = list(forge.chunks)
            chunks[number] = flip(chunks[number], at)
            body = envelope + b"".join(chunks)
            vector = _bad(f"a bit of the {label} chunk's {name}", body)
            if (label, name) == ("last", "size"):
                # One byte longer than the file: cannot be told from a cut.
                vector = dataclasses.replace(vector, expect="truncated", outer="truncated")
            yield f"flip-{label}-{name}", vector
    places["last-pts"] = 35  # upwards, so that the span stays possible
    for name in ("kind", "tracks", "last-pts", "body", "tag"):
        chunks = list(forge.chunks)
        chunks[2] = flip(chunks[2], places[name], 2)
        body = envelope + rechain(chunks, forge.keys.core_hash)
        outer = "success" if name in ("last-pts", "body", "tag") else "damaged"
        covers = f"{name} changed and all public hashes made right again"
        yield f"forged-{name}", _bad(covers, body, outer=outer)
    chunks = list(forge.chunks)
    chunks[3] = flip(chunks[3], 73 + 5 + 16)  # the gap's reason, in the clear
    body = envelope + rechain(chunks, forge.keys.core_hash)
    yield "forged-gap", _bad("a public record changed, public hashes right", body, outer="success")
    chunks = list(forge.chunks)
    chunks[5] = flip(chunks[5], 73 + 5, 2)  # the status of the end marker
    body = envelope + rechain(chunks, forge.keys.core_hash)
    yield "forged-end", _bad("the summary changed, public hashes right", body, outer="success")


def _order_cases() -> Iterator[tuple[str, Vector]]:
    forge = _sample()
    envelope, chunks, start = forge.envelope(), forge.chunks, forge.keys.core_hash

    def order(name: str, covers: str, numbers: tuple[int, ...]) -> Iterator[tuple[str, Vector]]:
        picked = [chunks[number] for number in numbers]
        yield f"order-{name}", _bad(covers, envelope + b"".join(picked))
        relinked = envelope + rechain(picked, start)
        yield f"order-{name}-relinked", _bad(f"{covers}, public links right again", relinked)

    yield from order("swapped", "two chunks swapped", (0, 2, 1, 3, 4, 5))
    yield from order("missing", "a chunk left out", (0, 1, 3, 4, 5))
    yield from order("first-missing", "the first chunk left out", (1, 2, 3, 4, 5))
    yield from order("repeated", "a chunk twice", (0, 1, 1, 2, 3, 4, 5))
    yield from order("end-early", "the end marker moved forward", (0, 1, 5))
    yield from order("end-twice", "the end marker twice", (0, 1, 2, 3, 4, 5, 5))
    yield "after-end-byte", _bad("a byte after the end marker", forge.build() + b"\0")
    yield "after-end-chunk", _bad("a chunk after the end marker", forge.build() + chunks[1])
    other = Forge(header=make_header(recording_id=bytes(16))).start().finish()
    mixed = [chunks[0], other.chunks[1], *chunks[2:]]
    yield "paste-other-log", _bad("a chunk of another log", envelope + b"".join(mixed))
    body = envelope + rechain(mixed, start)
    covers = "a chunk of another log, public links right again"
    yield "paste-other-log-relinked", _bad(covers, body, outer="success")
    body = Forge(header=make_header(created_unix_us=5)).envelope() + b"".join(chunks)
    yield "paste-other-header", _bad("the header of another log with the same keys", body)


def _rewritten_cases() -> Iterator[tuple[str, Vector]]:
    """What only somebody with the keys could write, and a reader must still refuse."""
    data, info = ChunkKind.TRACK_DATA, ChunkKind.TRACK_INFO

    def inside(name: str, covers: str, forge: Forge, outer: str = "success") -> tuple[str, Vector]:
        return f"inside-{name}", _bad(covers, forge.build(), outer=outer)

    def bytes_of(name: str, covers: str, raw: bytes, kind: ChunkKind = data) -> tuple[str, Vector]:
        forge = Forge().put(info, make_track(0))
        span = {} if kind is ChunkKind.GENERAL else {"first_pts": 3000, "last_pts": 3000}
        outer = "damaged" if kind.is_plain else "success"  # seen without a key
        return inside(name, covers, forge.add(kind, raw, **span).finish(), outer)

    face, patch = encode_record(make_face(0, pts=3000)), encode_record(make_patch(0, pts=3000))
    track = encode_record(make_track(0, pts=3000))
    yield bytes_of("record-type", "unknown type of record", b"\x2f" + face[1:])
    yield bytes_of("record-kind", "a track record in a data chunk", track)
    yield bytes_of(
        "record-short", "a record shorter than its fields", face[:1] + b"\x10\0\0\0" + face[5:21]
    )
    longer = struct.pack("<I", len(face) - 5 + 1)
    yield bytes_of(
        "record-long", "a record with a byte too many", face[:1] + longer + face[5:] + b"\0"
    )
    yield bytes_of("record-overrun", "a record longer than its chunk", face[:-1])
    yield bytes_of(
        "record-other-track",
        "a record of another track",
        face + encode_record(make_face(1, pts=3000)),
    )
    yield bytes_of("face-flags", "an unknown flag", face[:-1] + b"\x08")
    nan = struct.pack("<f", float("nan"))
    yield bytes_of("face-nan", "a box that is not a number", face[:17] + nan + face[21:])
    high = struct.pack("<f", 500.0)
    yield bytes_of("face-corners", "a box with its corners swapped", face[:17] + high + face[21:])
    yield bytes_of("patch-odd", "a region at an odd edge", patch[:17] + b"\x0b" + patch[18:])
    yield bytes_of("patch-empty", "a region of no width", patch[:25] + bytes(4) + patch[29:])
    yield bytes_of("patch-codec", "an unknown codec", patch[:33] + b"\x02" + patch[34:])
    yield bytes_of(
        "patch-size", "a payload shorter than it says", patch[:34] + b"\x29" + patch[35:]
    )
    small = encode_record(make_thumbnail(0, pts=3000))
    yield bytes_of("thumbnail-codec", "an unknown codec", small[:17] + b"\x02" + small[18:])
    empty = small[:1] + struct.pack("<I", 15) + small[5:18] + bytes(2)
    yield bytes_of("thumbnail-empty", "a thumbnail of no bytes", empty)
    yield bytes_of(
        "thumbnail-size", "a payload shorter than it says", small[:18] + b"\x1f" + small[19:]
    )
    yield bytes_of(
        "note-utf8", "a note that is not UTF-8", b"\x02\x04\0\0\0\x01\xff\0\0", ChunkKind.GENERAL
    )
    key = b"\x01" + struct.pack("<I", 34) + b"\x00\x00" + bytes(32)
    yield bytes_of("scope-key-track", "a scope key of track scope", key, ChunkKind.GENERAL)
    digest = encode_record(VideoDigest(0, 3000, 3000, 1, bytes(32)))
    none = digest[:25] + bytes(4) + digest[29:]
    yield bytes_of("digest-empty", "a segment of no frames", none, ChunkKind.PUBLIC)
    yield from _track_cases(inside)
    yield from _summary_cases(inside)


def _summary_cases(inside) -> Iterator[tuple[str, Vector]]:  # type: ignore[no-untyped-def]  # noqa: ANN001 - local helper
    """Chunks whose outside does not say what is in them."""
    data, info = ChunkKind.TRACK_DATA, ChunkKind.TRACK_INFO
    forge = Forge().put(data, make_face(0, pts=3000), tracks=0)
    yield inside("no-track", "a face before its track began", forge.finish(), "damaged")
    forge = Forge().put(info, make_track(0), tracks=2)
    yield inside("tracks", "a wrong number of tracks", forge.finish(), "damaged")
    forge = Forge().put(info, make_track(0)).put(data, make_face(0, pts=3000), last_pts=4000)
    yield inside("span", "a span wider than the records", forge.finish())
    forge = (
        Forge()
        .put(info, make_track(0))
        .put(data, make_face(0, pts=3000), first_pts=NO_PTS, last_pts=NO_PTS)
    )
    yield inside("span-none", "no span, though there are times", forge.finish())
    forge = Forge().start().finish(tracks=7)
    yield inside("end-tracks", "a summary with another number of tracks", forge)


def _track_cases(inside) -> Iterator[tuple[str, Vector]]:  # type: ignore[no-untyped-def]  # noqa: ANN001 - local helper
    info = ChunkKind.TRACK_INFO
    good = encode_record(make_track(0, pts=3000))
    # type 1, size 4, track 4, revision 2, pts 8, scope 1, scope_id 2, has_key 1, key 32
    changes = {
        "scope": (19, 3, "unknown scope"),
        "no-key": (19, 1, "a key outside of track scope"),
        "has-key": (22, 2, "has_key of 2"),
        "rotation": (55, 2, "unknown rotation"),
        "rotation-version": (56, 3, "unknown version of the rotation"),
        "z-type": (73, 3, "unknown type of z"),
        "z-none": (73, 0, "z of a size without a type"),
        "z-size": (74, 9, "z longer than the record"),
    }
    for name, (at, value, covers) in changes.items():
        raw = good[:at] + bytes([value]) + good[at + 1 :]
        forge = Forge().add(info, raw, first_pts=3000, last_pts=3000).finish()
        yield inside(f"track-{name}", covers, forge)
    for name, at, number in (("angle", 57, 0.0), ("norm", 65, 0.0), ("norm-inf", 65, 1e400)):
        raw = good[:at] + struct.pack("<d", number) + good[at + 8 :]
        forge = Forge().add(info, raw, first_pts=3000, last_pts=3000).finish()
        yield inside(f"track-{name}", f"{name} of {number}", forge)
    forge = Forge().add(info, good + good, first_pts=3000, last_pts=3000)
    yield inside("track-twice", "two track records in one chunk", forge.finish())
    raw = good[:76] + b"\x00\x7c" + good[78:]
    forge = Forge().add(info, raw, first_pts=3000, last_pts=3000).finish()
    yield inside("track-z-inf", "an infinite z", forge)


def _signature_cases() -> Iterator[tuple[str, Vector]]:
    signed = written(sample_records(), signer=DEVICE)
    chunk = signed[-(73 + 64 + 32) :]
    yield (
        "signature-flip",
        _bad(
            "a bit of the signature, public hash right",
            signed[: -len(chunk)] + rehash(flip(chunk, 80)),
        ),
    )
    yield "signature-after", _bad("a byte after the signature", signed + b"\0")
    yield "signature-twice", _bad("the signature twice", signed + chunk)
    forge = Forge().start().finish()
    prefix = chunk[:4] + struct.pack("<IQ", 64, 3) + chunk[16:21] + struct.pack("<I", 1)
    alone = rehash(prefix + chunk[25:41] + forge.previous + chunk[73:])
    yield (
        "signature-unnamed",
        _bad("a signature in a log that names no signer", forge.build() + alone),
    )
    unsigned = Forge(header=make_header(signer=dataclasses.replace(make_header()).recording_id * 2))
    yield (
        "signature-missing",
        case(
            "a header that names a signer, but no signature",
            unsigned.start().finish().build(),
            expect="truncated",
            outer="truncated",
        ),
    )
