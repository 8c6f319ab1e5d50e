"""`audit`: check and show the audit log of recoveries and grants."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime

from streamer.audit_log import verify_audit
from streamer.cli.output import print_json
from streamer.recipient_keys import parse_device_public

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Print the entries; returns the exit code.

    Raises:
        KeyLogTamperedError: the log was changed.
    """
    device = None if args.device is None else parse_device_public(args.device)
    entries = verify_audit(args.log, device=device, last_hash=args.last_hash)
    rows = [
        {
            "number": entry.number,
            "time": datetime.fromtimestamp(entry.unix_s, UTC).isoformat(),
            "who": entry.who,
            "action": entry.action,
            "reason": entry.reason,
            **{f"of {key}": value for key, value in entry.details.items()},
        }
        for entry in entries
    ]
    last = entries[-1].line_hash if entries else ""
    if args.json:
        print_json({"command": "audit", "entries": rows, "last_hash": last})
        return 0
    for row in rows:
        print("; ".join(f"{key} {value}" for key, value in row.items()))
    print(f"{len(rows)} entries, chain good; last hash {last or 'none'}")
    return 0
