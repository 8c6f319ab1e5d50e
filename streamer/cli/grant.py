"""`grant`: let a recipient see some tracks for a time, and no more."""

from __future__ import annotations

import argparse
import hashlib
import math
import time
from fractions import Fraction

from engines.errors import ConfigError
from streamer.cli.auditing import open_auditor
from streamer.cli.output import print_json
from streamer.cli.times import parse_time_s
from streamer.cli.unlock import read_unlocking
from streamer.key_log import KeyLogReader
from streamer.key_log_grant_format import TrackSpan
from streamer.key_log_grant_writer import grant_body, write_grant
from streamer.recipient_keys import parse_public

__all__ = ["run"]

_FIRST_PTS, _LAST_PTS = -(1 << 63) + 1, (1 << 63) - 1


def run(args: argparse.Namespace) -> int:
    """Write the grant; returns the exit code."""
    recipient = parse_public(args.to_recipient)
    auditor = open_auditor(args, args.keylog)
    unlocking = read_unlocking(args)
    with KeyLogReader.open(
        args.keylog, unlocking.password, identities=unlocking.identities
    ) as reader:
        first, last = _span_pts(args, reader.header.time_base)
        body = grant_body(
            reader,
            [TrackSpan(track, first, last) for track in sorted(set(args.track))],
            granted_by=auditor.who,
            reason=args.reason,
            created_unix_us=int(time.time() * 1e6),
            with_identity=args.with_identity,
        )
        if not body.chunks and not body.copies:
            raise ConfigError(
                "the log holds nothing of these tracks at these times; after a rotation of keys "
                "they may be in another part of it"
            )
        # Before the grant exists: one that is not in the audit log must not.
        details = {
            "key log": reader.core_hash.hex(),
            "tracks": ",".join(map(str, sorted(set(args.track)))),
            "from": args.from_s or "",
            "to": args.to_s or "",
            "recipient": args.to_recipient,
        }
        auditor.note("grant", details)
        write_grant(args.out, body, core_hash=reader.core_hash, recipient=recipient)
    digest = hashlib.sha256(args.out.read_bytes()).hexdigest()
    summary = {
        "command": "grant", "out": str(args.out), "sha256": digest,
        "chunks": len(body.chunks), "copied": len(body.copies),
    }  # fmt: skip
    if args.json:
        print_json(summary)
    else:
        print(f"{args.out}: {len(body.chunks)} chunks, {len(body.copies)} copied in part")
        print(f"sha256 {digest}")
    return 0


def _span_pts(args: argparse.Namespace, time_base: Fraction) -> tuple[int, int]:
    """First and last pts that `--from` and `--to` ask for."""
    first, last = _FIRST_PTS, _LAST_PTS
    if args.from_s is not None:
        first = math.ceil(parse_time_s(args.from_s) / time_base)
    if args.to_s is not None:
        last = math.floor(parse_time_s(args.to_s) / time_base)
    if first > last:
        raise ConfigError("--from must come before --to")
    return first, last
