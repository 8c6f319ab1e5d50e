"""Records of the independent key-log reader (see independent_key_log_reader)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.independent_key_log_header import NO_PTS, NO_TRACK, Fields, angle_field, need

RecordDict = dict[str, Any]


def pts_field(f: Fields) -> int:
    pts: int = f.num("q")
    need(pts != NO_PTS, "pts")
    return pts


def span_fields(f: Fields) -> tuple[int, int]:
    first, last = pts_field(f), pts_field(f)
    need(first <= last, "span")
    return first, last


def read_scope_key(f: Fields) -> RecordDict:
    scope = f.choice(3)
    need(scope != 0, "scope")
    return {"type": "scope_key", "scope": scope, "scope_id": f.str8(), "key": f.raw(32).hex()}


def read_note(f: Fields) -> RecordDict:
    return {"type": "note", "key": f.str8(), "text": f.text(f.num("H"))}


def read_track_start(f: Fields) -> RecordDict:
    r: RecordDict = {"type": "track_start", "track_id": f.num("I"), "revision": f.num("H")}
    need(r["track_id"] != NO_TRACK, "track")
    r["pts"] = pts_field(f)
    r["scope"], r["scope_id"] = f.choice(3), f.str8()
    r["key"] = f.raw(32).hex() if f.flag() else None
    need((r["scope"] == 0) == (r["key"] is not None), "key")
    r["rotation"] = f.choice(2)
    need(1 <= f.num("B") <= 2 - r["rotation"], "rotation version")
    r["angle_deg"], r["norm"] = angle_field(f), f.num("d")
    need(r["norm"] > 0, "norm")
    kind, size = f.choice(3), f.num("H")
    need((kind == 0) == (size == 0), "z")
    r["z"] = f.nums("e" if kind == 1 else "f", size)
    r["z_type"] = kind
    return r


def read_face(f: Fields) -> RecordDict:
    r: RecordDict = {"type": "face", "track_id": f.num("I"), "pts": pts_field(f)}
    r["box"], r["frame_from_crop"] = f.nums("f", 4), f.nums("d", 6)
    need(r["box"][0] <= r["box"][2] and r["box"][1] <= r["box"][3], "box")
    r["flags"] = f.num("B")
    need(r["flags"] < 8, "flags")
    return r


def read_patch(f: Fields) -> RecordDict:
    r: RecordDict = {"type": "sealed_patch", "track_id": f.num("I"), "pts": pts_field(f)}
    r["rect"] = f.nums("I", 4)
    x, y, width, height = r["rect"]
    need(all(v % 2 == 0 for v in r["rect"]) and width >= 2 and height >= 2, "rect")
    need(x + width <= 65536 and y + height <= 65536, "rect")
    need(f.num("B") == 1, "codec")
    size = f.num("I")
    need(size >= 1, "payload")
    r["payload"] = f.raw(size).hex()
    return r


def read_thumbnail(f: Fields) -> RecordDict:
    r: RecordDict = {"type": "thumbnail", "track_id": f.num("I"), "pts": pts_field(f)}
    need(f.num("B") == 1, "codec")
    size = f.num("H")
    need(size >= 1, "payload")
    r["payload"] = f.raw(size).hex()
    return r


def read_digest(f: Fields) -> RecordDict:
    r: RecordDict = {"type": "video_digest", "segment": f.num("I")}
    r["first_pts"], r["last_pts"] = span_fields(f)
    r["frames"], r["method"] = f.num("I"), f.num("B")
    need(r["frames"] >= 1 and r["method"] in (1, 2), "digest")
    r["digest"] = f.raw(32).hex()
    return r


def read_gap(f: Fields) -> RecordDict:
    first, last = span_fields(f)
    return {"type": "gap", "first_pts": first, "last_pts": last, "reason": f.choice(5)}


def read_end(f: Fields) -> RecordDict:
    r: RecordDict = {"type": "end", "status": f.choice(4), "frames": f.num("Q")}
    r["tracks"] = f.num("I")
    r["faces"], r["generated"], r["filled"] = f.nums("Q", 3)
    r["first_pts"], r["last_pts"] = f.nums("q", 2)
    need(r["first_pts"] <= r["last_pts"], "span")
    need((r["first_pts"] == NO_PTS) == (r["last_pts"] == NO_PTS), "span")
    return r


RECORDS: dict[int, Callable[[Fields], RecordDict]] = {
    0x01: read_scope_key,
    0x02: read_note,
    0x10: read_track_start,
    0x20: read_face,
    0x21: read_patch,
    0x22: read_thumbnail,
    0x30: read_digest,
    0x31: read_gap,
    0x3F: read_end,
}
ALLOWED = {1: (0x01, 0x02), 2: (0x10,), 3: (0x20, 0x21, 0x22), 4: (0x30, 0x31), 5: (0x3F,)}


def parse_records(data: bytes, kind: int, track_id: int) -> list[RecordDict]:
    f, records = Fields(data), []
    while f.data:
        code = f.num("B")
        body = Fields(f.raw(f.num("I")))
        need(code in ALLOWED[kind], "record type")
        record = RECORDS[code](body)
        body.end()
        need(record.get("track_id", track_id) == track_id, "track")
        records.append(record)
    need(bool(records) and (kind not in (2, 5) or len(records) == 1), "number of records")
    return records


def span_of(records: list[RecordDict]) -> tuple[int, int]:
    pts = [r[k] for r in records for k in ("pts", "first_pts", "last_pts") if k in r]
    pts = [p for p in pts if p != NO_PTS]
    return (min(pts), max(pts)) if pts else (NO_PTS, NO_PTS)
