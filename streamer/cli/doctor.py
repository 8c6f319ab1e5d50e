"""`doctor`: check whether this machine can do the main job."""

from __future__ import annotations

import argparse
import dataclasses

from streamer.cli.output import print_json
from streamer.doctor import run_checks

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Print one line per check; returns 1 if the main job cannot run here."""
    checks = []
    for check in run_checks():
        checks.append(check)
        if not args.json:
            print(f"{'ok  ' if check.is_good else 'FAIL'} {check.name:<10} {check.text}")
    is_good = all(check.is_good for check in checks)
    if args.json:
        found = [dataclasses.asdict(check) for check in checks]
        print_json({"command": "doctor", "ok": is_good, "checks": found})
    return 0 if is_good else 1
