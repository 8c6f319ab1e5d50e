"""Vector files of the key log: text header lines, a blank line, the log in base64."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path

from streamer.key_log import (
    End,
    Face,
    Gap,
    Note,
    Record,
    ScopeKey,
    SealedPatch,
    Thumbnail,
    TrackStart,
    VideoDigest,
)
from streamer.key_log_header import SCOPES
from streamer.rotation_kinds import rotation_code
from tests.independent_key_log_records import RecordDict

REASONS = ("other", "source lost", "frames dropped", "disk short", "off")
STATUSES = ("complete", "interrupted", "failed", "continued")
# What the clock says while a vector is read, unless the vector has its own time: 2026-09-21.
NOW_US = 1_790_000_000_000_000


@dataclass(frozen=True)
class Vector:
    """One log and what must come of it.

    Attributes:
        covers: what it is about.
        expect: success, format, truncated, tampered, wrong-password or expired.
        outer: the same, as far as it can be seen without a key (damaged for tampered).
        password: or None.
        secrets: X25519 secret keys.
        records: in the independent reader's spelling, all that come out before an error.
        body: the log.
        now_us: when it is read, microseconds since 1970 UTC.
    """

    covers: str
    expect: str
    outer: str
    password: bytes | None
    secrets: tuple[bytes, ...]
    records: tuple[RecordDict, ...]
    body: bytes
    now_us: int = NOW_US

    def dump(self) -> str:
        lines = [f"covers: {self.covers}", f"expect: {self.expect}", f"outer: {self.outer}"]
        if self.password is not None:
            lines.append(f"password: {self.password.decode()}")
        lines += [f"secret: {secret.hex()}" for secret in self.secrets]
        lines += [f"record: {json.dumps(record, sort_keys=True)}" for record in self.records]
        if self.now_us != NOW_US:
            lines.append(f"now: {self.now_us}")
        encoded = base64.encodebytes(self.body).decode()
        return "\n".join(lines) + "\n\n" + encoded


def parse_vector(path: Path) -> Vector:
    head, _, body = path.read_text().partition("\n\n")
    values: dict[str, list[str]] = {}
    for line in head.splitlines():
        key, _, value = line.partition(": ")
        values.setdefault(key, []).append(value)
    password = values.get("password")
    return Vector(
        values["covers"][0],
        values["expect"][0],
        values["outer"][0],
        password[0].encode() if password else None,
        tuple(bytes.fromhex(text) for text in values.get("secret", [])),
        tuple(json.loads(text) for text in values.get("record", [])),
        base64.b64decode(body),
        int(values.get("now", [str(NOW_US)])[0]),
    )


def describe(record: Record) -> RecordDict:
    """A record in the spelling of the independent reader."""
    if isinstance(record, ScopeKey):
        scope = SCOPES.index(record.scope)
        key = record.key.hex()
        return {"type": "scope_key", "scope": scope, "scope_id": record.scope_id, "key": key}
    if isinstance(record, Note):
        return {"type": "note", "key": record.key, "text": record.text}
    if isinstance(record, TrackStart):
        return _describe_track(record)
    if isinstance(record, Face):
        flags = record.is_generated + 2 * record.is_filled + 4 * record.is_coasting
        return {
            "type": "face",
            "track_id": record.track_id,
            "pts": record.pts,
            "box": record.box_xyxy_px.tolist(),
            "frame_from_crop": record.frame_from_crop.ravel().tolist(),
            "flags": flags,
        }
    if isinstance(record, SealedPatch):
        return {
            "type": "sealed_patch",
            "track_id": record.track_id,
            "pts": record.pts,
            "rect": [record.x, record.y, record.width, record.height],
            "payload": record.payload.hex(),
        }
    if isinstance(record, Thumbnail):
        return {
            "type": "thumbnail",
            "track_id": record.track_id,
            "pts": record.pts,
            "payload": record.payload.hex(),
        }
    return _describe_public(record)


def _describe_track(track: TrackStart) -> RecordDict:
    z = track.z
    return {
        "type": "track_start",
        "track_id": track.track_id,
        "revision": track.revision,
        "pts": track.pts,
        "scope": SCOPES.index(track.scope),
        "scope_id": track.scope_id,
        "key": None if track.key is None else track.key.hex(),
        "rotation": rotation_code(track.rotation),
        "angle_deg": track.angle_deg,
        "norm": track.norm,
        "z": [] if z is None else z.tolist(),
        "z_type": 0 if z is None else (1 if z.itemsize == 2 else 2),
    }


def _describe_public(record: VideoDigest | Gap | End) -> RecordDict:
    span = {"first_pts": record.first_pts, "last_pts": record.last_pts}
    if isinstance(record, VideoDigest):
        return {
            "type": "video_digest",
            "segment": record.segment,
            **span,
            "frames": record.frames,
            "method": record.method,
            "digest": record.digest.hex(),
        }
    if isinstance(record, Gap):
        return {"type": "gap", **span, "reason": REASONS.index(record.reason)}
    return {
        "type": "end",
        "status": STATUSES.index(record.status),
        "frames": record.frames,
        "tracks": record.tracks,
        "faces": record.faces,
        "generated": record.generated,
        "filled": record.filled,
        **span,
    }
