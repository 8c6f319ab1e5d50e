"""`anonymize`: replace every face of a video."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any

from engines.errors import ConfigError
from streamer.cli.live import live_overrides, run_live
from streamer.cli.output import print_json
from streamer.cli.parser_engine import engine_overrides
from streamer.cli.password import read_password
from streamer.config import AppConfig, load_config
from streamer.file_job import FileReport, FileRequest, anonymize_file
from streamer.interrupt import StopRequest
from streamer.memory import keep_frames_in_heap
from streamer.passwords import password_warning
from streamer.progress import open_progress
from streamer.recipient_list import recipients_of
from streamer.redact import is_url

__all__ = ["DAMAGED_EXIT_CODE", "INTERRUPTED_EXIT_CODE", "default_keylog", "run"]

DAMAGED_EXIT_CODE = 8
INTERRUPTED_EXIT_CODE = 130


def default_keylog(out: Path) -> Path:
    """The key log's place when none was named: beside the output."""
    return out.with_name(out.name + ".vskl")


def _config(args: argparse.Namespace) -> AppConfig:
    if args.angle_deg is not None and not 0 < args.angle_deg <= 180:
        raise ConfigError(f"--angle-deg must be over 0 and up to 180, not {args.angle_deg}")
    config = load_config(
        args.config,
        {
            "engine": engine_overrides(args),
            "identity": {
                "level": args.level,
                "angle_deg": args.angle_deg,
                "rotation": args.rotation,
            },
            "keylog": {
                "seal": args.seal,
                "irreversible": args.irreversible or None,
                "recipients": args.recipient,
                "recipients_file": args.recipients_file,
                "threshold": args.threshold,
                "rotate_every_s": args.rotate_every,
                "device_key": args.device_key,
            },
            **live_overrides(args),
        },
    )
    if args.level is not None and config.identity.angle_deg is not None and args.angle_deg is None:
        # The command line's level wins over an angle in the file.
        identity = config.identity.model_copy(update={"angle_deg": None})
        config = config.model_copy(update={"identity": identity})
    if config.identity.scope == "camera" and not config.identity.camera_id:
        raise ConfigError("identity.camera_id is needed when identity.scope is camera")
    return config


def _rate(fps: float | None) -> Fraction | None:
    if fps is None:
        return None
    if not 0 < fps <= 1000:
        raise ConfigError(f"--fps must be over 0 and up to 1000, not {fps}")
    return Fraction(fps).limit_denominator(1001)


def run(args: argparse.Namespace) -> int:
    """Anonymise one file or camera; returns the exit code."""
    config = _config(args)
    if is_url(args.source) or args.realtime:
        return run_live(args, config, _password(args, config))
    if len(args.out) > 1:
        raise ConfigError("a file has one output; several are for cameras")
    out = Path(args.out[0])
    if is_url(args.out[0]):
        raise ConfigError("a file cannot be published; play it as a camera with --realtime")
    password = _password(args, config)
    request = FileRequest(
        source=args.source,
        out=out,
        keylog=args.keylog or default_keylog(out),
        rate_hz=_rate(args.fps),
        overwrite=args.overwrite,
    )
    keep_frames_in_heap()
    with StopRequest() as stop, open_progress(quiet=args.quiet) as progress:
        report = anonymize_file(request, config, password, stop=stop, progress=progress)
    if not args.quiet:
        _print_summary(request, report)
    if args.json:
        print_json(_summary(request, report))
    if report.was_interrupted:
        return INTERRUPTED_EXIT_CODE
    return DAMAGED_EXIT_CODE if report.is_damaged else 0


def _password(args: argparse.Namespace, config: AppConfig) -> bytes | None:
    """The password; None when the job is irreversible, or only recipients are to open its log."""
    if config.keylog.irreversible:
        return None
    # Before a long run, not after it.
    recipients = recipients_of(config.keylog.recipients, config.keylog.recipients_file)
    if recipients and args.password_file is None:
        return None
    password = read_password(args.password_file, confirm=True)
    if warning := password_warning(password):
        print(f"warning: {warning}", file=sys.stderr)
    return password


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in facts.items()}


def _print_summary(request: FileRequest, report: FileReport) -> None:
    where = "no key log" if report.keylog is None else f"key log {report.keylog}"
    print(
        f"{request.out}: {report.frames} frames, {report.tracks} tracks, "
        f"{report.replaced} faces replaced, {report.covered} covered; {where}",
        file=sys.stderr,
    )


def _summary(request: FileRequest, report: FileReport) -> dict[str, Any]:
    total_s = report.analyse_s + report.render_s
    return {
        "command": "anonymize",
        "source": request.source,
        "out": str(request.out),
        **_plain(dataclasses.asdict(report)),
        "fps": round(report.frames / total_s, 2) if total_s else None,
    }
