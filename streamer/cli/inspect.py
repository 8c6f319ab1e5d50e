"""`inspect`: show what a key log holds, from outside or with the password."""

from __future__ import annotations

import argparse
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from engines.errors import KeyLogTamperedError
from streamer.cli.output import print_json
from streamer.cli.unlock import read_unlocking
from streamer.key_log import Face, KeyLogReader, Note, OuterReport, SealedPatch, inspect_outer
from streamer.recipient_keys import device_public_text
from streamer.source_packets import digest_video
from streamer.video_verify import VideoReport, compare_segments

__all__ = ["run"]


def _outer(report: OuterReport) -> dict[str, Any]:
    header = report.header
    created = datetime.fromtimestamp(header.created_unix_us / 1e6, UTC)
    return {
        "recording": header.recording_id.hex(),
        "created": created.isoformat(timespec="seconds"),
        "made by": header.tool,
        "video": f"{header.width}x{header.height} {header.codec}",
        "duration_s": round(float(report.duration_s), 3),
        "tracks": report.tracks,
        "rotation": f"{header.rotation}, {header.angle_deg:g} degrees, one key per {header.scope}",
        "holds": ", ".join(
            name
            for name, is_there in (
                ("sealed originals", header.is_sealed),
                ("embeddings", header.is_assisted),
                ("transforms", True),
            )
            if is_there
        ),
        "opened by": f"{len(report.access.stanzas)} recipient(s)",
        "signed": _signature(report),
        "size_bytes": report.size_bytes,
        "chunks": report.chunks,
        "complete": report.is_complete,
        "damage": list(report.damage),
    }


def _signature(report: OuterReport) -> str:
    signer = report.header.signer
    if signer is None:
        return "no"
    state = {None: "not yet", True: "good", False: "BAD"}[report.is_signature_good]
    return f"{state}, by device {device_public_text(signer)}"


def _inner(reader: KeyLogReader) -> dict[str, Any]:
    generated: Counter[int] = Counter()
    filled: Counter[int] = Counter()
    sealed: Counter[int] = Counter()
    spans: dict[int, tuple[int, int]] = {}
    notes: dict[str, str] = {}
    for record in reader.records(salvage=True):
        if isinstance(record, Note):
            notes[record.key] = record.text
        elif isinstance(record, SealedPatch):
            sealed[record.track_id] += len(record.payload)
        elif isinstance(record, Face):
            first, _ = spans.get(record.track_id, (record.pts, record.pts))
            spans[record.track_id] = (first, record.pts)
            generated[record.track_id] += record.is_generated
            filled[record.track_id] += record.is_filled
    unit = reader.header.time_base
    return {
        "notes": notes,
        "track_list": [
            {
                "track": track_id,
                "from_s": round(float(first * unit), 3),
                "to_s": round(float(last * unit), 3),
                "replaced": generated[track_id],
                "covered": filled[track_id],
                "sealed_bytes": sealed[track_id],
                "revisions": len(reader.tracks(salvage=True).get(track_id, ())),
            }
            for track_id, (first, last) in sorted(spans.items())
        ],
        "damage": list(reader.damage),
    }


def run(args: argparse.Namespace) -> int:
    """Print the report; returns the exit code.

    Raises:
        KeyLogTamperedError: the report was printed, and it names damage.
    """
    facts = _outer(inspect_outer(args.keylog))
    if args.password_file is not None or args.identity or args.unlock:
        unlocking = read_unlocking(args)
        with KeyLogReader.open(
            args.keylog, unlocking.password, identities=unlocking.identities
        ) as reader:
            inner = _inner(reader)
        inner["damage"] = sorted({*facts["damage"], *inner["damage"]})
        facts |= inner
    report = None
    if args.verify is not None:
        report = _verify(args)
        facts["video_file"] = str(args.verify)
        facts["video_intact"] = report.is_intact
        facts["proven"] = list(report.words())
    if args.json:
        print_json({"command": "inspect", **facts})
    else:
        _print_text(facts)
    if facts["damage"]:
        raise KeyLogTamperedError(
            f"{args.keylog}: {len(facts['damage'])} damaged part(s), see above"
        )
    if report is not None and not report.is_intact:
        raise KeyLogTamperedError(f"{args.verify} is not, or not wholly, the video of this log")
    return 0


def _verify(args: argparse.Namespace) -> VideoReport:
    outer = inspect_outer(args.keylog)
    found, time_base = digest_video(args.verify)
    return compare_segments(
        [digest for digest in outer.digests if digest.method == 2],
        found,
        log_time_base=outer.header.time_base,
        video_time_base=time_base,
    )


def _print_text(facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        if name == "track_list":
            for track in value:
                print(
                    f"track {track['track']:<5} "
                    f"{track['from_s']:9.3f} s to {track['to_s']:9.3f} s, "
                    f"{track['replaced']} replaced, {track['covered']} covered, "
                    f"{track['sealed_bytes']} bytes sealed"
                )
        elif isinstance(value, dict):
            for key, text in value.items():
                print(f"{key:<12} {text}")
        elif isinstance(value, list):
            print(f"{name:<12} {'none' if not value else ''}")
            for text in value:
                print(f"  {text}")
        else:
            print(f"{name:<12} {value}")
