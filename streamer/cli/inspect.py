"""`inspect`: show what a key log holds, from outside or with the password."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path
from typing import Any

from engines.errors import KeyLogTamperedError
from streamer.cli.follow import follow
from streamer.cli.output import print_json
from streamer.cli.unlock import read_unlocking
from streamer.key_log import (
    Face,
    KeyLogReader,
    Note,
    OuterReport,
    SealedPatch,
    Thumbnail,
    TrackStart,
    inspect_outer,
)
from streamer.key_log_parts import later_parts, open_parts
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
        "opened by": f"{len(report.access.stanzas)} recipient(s), change "
        f"{report.access.generation}",
        "kept until": _expiry(header.expires_unix_us),
        "continues": header.previous_log.hex() if any(header.previous_log) else "no log before it",
        "gaps": [
            f"{float(gap.first_pts * header.time_base):.3f} s to "
            f"{float(gap.last_pts * header.time_base):.3f} s: {gap.reason}"
            for gap in report.gaps
        ],
        "signed": _signature(report),
        "size_bytes": report.size_bytes,
        "chunks": report.chunks,
        "complete": report.is_complete,
        "damage": list(report.damage),
    }


def _expiry(expires_unix_us: int) -> str:
    if not expires_unix_us:
        return "no limit"
    try:
        return datetime.fromtimestamp(expires_unix_us / 1e6, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{expires_unix_us} us after 1970"


def _signature(report: OuterReport) -> str:
    signer = report.header.signer
    if signer is None:
        return "no"
    state = {None: "not yet", True: "good", False: "BAD"}[report.is_signature_good]
    return f"{state}, by device {device_public_text(signer)}"


class _Track:
    """What is inside the log about one track."""

    def __init__(self) -> None:
        self.first_s: Fraction | None = None
        self.last_s = Fraction(0)
        self.replaced = self.covered = self.sealed_bytes = self.thumbnails = self.revisions = 0

    def see(self, time_s: Fraction) -> None:
        self.first_s = time_s if self.first_s is None else min(self.first_s, time_s)
        self.last_s = max(self.last_s, time_s)

    def facts(self, track_id: int) -> dict[str, Any]:
        return {
            "track": track_id,
            "from_s": round(float(self.first_s or 0), 3),
            "to_s": round(float(self.last_s), 3),
            "replaced": self.replaced,
            "covered": self.covered,
            "sealed_bytes": self.sealed_bytes,
            "thumbnails": self.thumbnails,
            "revisions": self.revisions,
        }


def _inner(readers: Sequence[KeyLogReader]) -> dict[str, Any]:
    tracks: dict[int, _Track] = {}
    notes: dict[str, str] = {}
    for reader in readers:
        unit = reader.header.time_base
        for record in reader.records(salvage=True):
            if isinstance(record, Note):
                notes[record.key] = record.text
            elif isinstance(record, TrackStart):
                found = tracks.setdefault(record.track_id, _Track())
                found.revisions = max(found.revisions, record.revision + 1)
            elif isinstance(record, SealedPatch):
                tracks.setdefault(record.track_id, _Track()).sealed_bytes += len(record.payload)
            elif isinstance(record, Thumbnail):
                tracks.setdefault(record.track_id, _Track()).thumbnails += 1
            elif isinstance(record, Face):
                found = tracks.setdefault(record.track_id, _Track())
                found.see(record.pts * unit)
                found.replaced += record.is_generated
                found.covered += record.is_filled
    return {
        "notes": notes,
        "track_list": [
            track.facts(track_id)
            for track_id, track in sorted(tracks.items())
            if track.first_s is not None
        ],
    }


def run(args: argparse.Namespace) -> int:
    """Print the report; returns the exit code.

    Raises:
        KeyLogTamperedError: the report was printed, and it names damage.
    """
    if args.follow:
        follow(args.keylog, as_json=args.json)
        return 0
    outers = _outers(args.keylog)
    facts = _outer(outers[0])
    facts["damage"] = [text for outer in outers for text in outer.damage]
    is_opened = args.password_file is not None or bool(args.identity) or args.unlock
    with ExitStack() as stack:
        parts = open_parts(args.keylog, _opener(args, stack) if is_opened else _closed)
        facts["later_parts"] = [str(path) for path in later_parts(args.keylog)]
        facts["damage"] += parts.problems
        if is_opened:
            readers = [reader for reader in parts.logs if isinstance(reader, KeyLogReader)]
            facts |= _inner(readers)
            facts["shut"] = [f"{part.path.name}: {part.reason}" for part in parts.shut]
            inner = {text for reader in readers for text in reader.damage}
            facts["damage"] = sorted({*facts["damage"], *inner})
    is_opened = is_opened and not parts.shut
    report = None if args.verify is None else _verify(args, outers, facts, is_opened=is_opened)
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


def _outers(path: Path) -> list[OuterReport]:
    """The outside of the log and of those of its parts that continue it."""
    outers = [inspect_outer(path)]
    for part in open_parts(path, _closed).paths[1:]:
        outers.append(inspect_outer(part))
    return outers


def _closed(path: Path) -> None:
    """Opens nothing: the outside is enough."""


def _opener(args: argparse.Namespace, stack: ExitStack) -> Callable[[Path], KeyLogReader | None]:
    unlocking = read_unlocking(args)

    def open_one(path: Path) -> KeyLogReader:
        reader = KeyLogReader.open(path, unlocking.password, identities=unlocking.identities)
        return stack.enter_context(reader)

    return open_one


def _verify(
    args: argparse.Namespace,
    outers: Sequence[OuterReport],
    facts: dict[str, Any],
    *,
    is_opened: bool,
) -> VideoReport:
    """Compare a video with the log's digests; adds what is proven and what is not to the facts."""
    found, time_base = digest_video(args.verify)
    report = compare_segments(
        [digest for outer in outers for digest in outer.digests if digest.method == 2],
        found,
        log_time_base=outers[0].header.time_base,
        video_time_base=time_base,
    )
    facts["video_file"] = str(args.verify)
    facts["video_intact"] = report.is_intact
    facts["proven"] = list(report.words())
    facts["rests_on"] = _trust_in_words(outers, is_opened=is_opened)
    return report


def _trust_in_words(outers: Sequence[OuterReport], *, is_opened: bool) -> list[str]:
    """How far the log's own list of digests can be trusted."""
    signers = {outer.header.signer for outer in outers}
    if len(signers) == 1 and all(outer.is_signature_good for outer in outers):
        (signer,) = signers
        device = device_public_text(signer or bytes(32))
        return [
            f"the log is signed by device key {device}; that this is the camera's key must be "
            "known from elsewhere"
        ]
    if is_opened:
        return [
            "the log was opened, so its list of digests was written by somebody with its keys: the "
            "recording program, or anybody who can open the log; no device's signature excludes "
            "the latter"
        ]
    return [
        "the log was looked at from outside only: whoever can write the file could have replaced "
        "all of it; to exclude that, open it with a key or check a device's signature"
    ]


def _print_text(facts: dict[str, Any]) -> None:
    for name, value in facts.items():
        if name == "track_list":
            for track in value:
                print(
                    f"track {track['track']:<5} "
                    f"{track['from_s']:9.3f} s to {track['to_s']:9.3f} s, "
                    f"{track['replaced']} replaced, {track['covered']} covered, "
                    f"{track['sealed_bytes']} bytes sealed, {track['thumbnails']} thumbnails"
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
