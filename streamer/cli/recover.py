"""`recover`: bring original faces back with the password."""

from __future__ import annotations

import argparse
import dataclasses
import sys

from streamer.cli.anonymize import INTERRUPTED_EXIT_CODE
from streamer.cli.output import print_json
from streamer.cli.password import read_password
from streamer.config import load_config
from streamer.interrupt import StopRequest
from streamer.progress import open_progress
from streamer.recover import RecoverRequest, recover_file

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Recover one file; returns the exit code."""
    config = load_config(None, {"engine": {"provider": args.provider, "workers": args.workers}})
    request = RecoverRequest(
        source=args.source,
        keylog=args.keylog,
        out=args.out,
        mode=None if args.mode == "auto" else args.mode,
        tracks=None if args.track is None else tuple(args.track),
        force=args.force,
        overwrite=args.overwrite,
    )
    password = read_password(args.password_file, confirm=False)
    with StopRequest() as stop, open_progress(quiet=args.quiet) as progress:
        report = recover_file(request, config, password, stop=stop, progress=progress)
    if not args.quiet:
        print(
            f"{request.out}: {report.frames} frames, {report.frames_with_faces} with faces "
            f"brought back ({report.mode}), {report.tracks} tracks",
            file=sys.stderr,
        )
    if args.json:
        summary = {"command": "recover", "source": str(args.source), "out": str(args.out)}
        print_json({**summary, **dataclasses.asdict(report)})
    return INTERRUPTED_EXIT_CODE if report.was_interrupted else 0
