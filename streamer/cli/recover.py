"""`recover`: bring original faces back with the password."""

from __future__ import annotations

import argparse
import dataclasses
import sys

from engines.errors import ConfigError
from streamer.audit_log import append_audit
from streamer.cli.anonymize import INTERRUPTED_EXIT_CODE
from streamer.cli.output import print_json
from streamer.cli.unlock import read_unlocking
from streamer.config import load_config
from streamer.interrupt import StopRequest
from streamer.key_log import inspect_outer
from streamer.progress import open_progress
from streamer.recipient_keys import read_device
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
        grant=args.grant,
    )
    unlocking = read_unlocking(args)
    if args.audit_log is not None:
        _note(args)
    with StopRequest() as stop, open_progress(quiet=args.quiet) as progress:
        report = recover_file(
            request, config, unlocking.password, identities=unlocking.identities, stop=stop,
            progress=progress,
        )  # fmt: skip
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


def _note(args: argparse.Namespace) -> None:
    """Write the recovery into the audit log, before anything is brought back."""
    if not args.by or not args.reason:
        raise ConfigError("--audit-log needs --by NAME and --reason TEXT")
    details = {
        "recording": inspect_outer(args.keylog).header.recording_id.hex(),
        "tracks": "all" if args.track is None else ",".join(map(str, args.track)),
        "mode": args.mode,
        "out": str(args.out),
    }
    signer = None if args.device_key is None else read_device(args.device_key)
    append_audit(
        args.audit_log, who=args.by, action="recover", reason=args.reason, details=details,
        signer=signer,
    )  # fmt: skip
