"""`anonymize` with a camera: until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from streamer.cli.output import print_json
from streamer.cli.parser_watch import watch_overrides
from streamer.config import AppConfig
from streamer.interrupt import StopRequest
from streamer.job_options import live_options
from streamer.key_rotation import KeyRotation, rotate_on_signal
from streamer.live_job import LiveReport, LiveRequest, anonymize_live
from streamer.progress import open_progress
from streamer.redact import display_name, is_url
from streamer.watch_server import watched_camera

__all__ = ["live_overrides", "run_live"]


def live_overrides(args: argparse.Namespace) -> dict[str, Mapping[str, Any]]:
    """What the command line says over the configuration's sections."""
    return {
        "live": {"credentials": args.credentials},
        "output": {
            "segment_s": args.segment,
            "keep_age_s": args.keep_age,
            "keep_bytes": args.keep_size,
            "shared_keylog": args.shared_keylog,
            "audio": args.audio,
        },
        **watch_overrides(args),
    }


def run_live(args: argparse.Namespace, config: AppConfig, password: bytes | None) -> int:
    """Anonymise a camera; returns the exit code."""
    request = LiveRequest(
        url=args.source,
        outs=tuple(args.out),
        keylog=args.keylog,
        options=live_options(config, args.source, is_file=not is_url(args.source)),
        overwrite=args.overwrite,
    )
    name = display_name(args.source)
    with (
        StopRequest() as stop,
        open_progress(quiet=args.quiet) as progress,
        watched_camera(config.watch, name) as status,
        rotate_on_signal(KeyRotation(config.keylog.rotate_every_s)) as rotation,
    ):
        report = anonymize_live(
            request, config, password, stop=stop, progress=progress, status=status,
            rotation=rotation,
        )  # fmt: skip
    outs = [display_name(out) for out in args.out]
    if not args.quiet:
        _print_summary(name, outs, report)
    if args.json:
        facts = _plain(dataclasses.asdict(report))
        print_json({"command": "anonymize", "source": name, "out": outs, **facts})
    return 0


def _print_summary(name: str, outs: list[str], report: LiveReport) -> None:
    print(
        f"{name} to {', '.join(outs)}: {report.frames} frames, {report.dropped} dropped, "
        f"{report.reconnects} reconnects, latency {report.latency_p50_s * 1e3:.0f} ms median, "
        f"{report.latency_p95_s * 1e3:.0f} ms p95, {report.latency_p99_s * 1e3:.0f} ms p99",
        file=sys.stderr,
    )
    for out, one in report.outputs.items():
        health = one.health
        print(
            f"  {out}: {health.packets_sent} packets, {health.dropped} dropped, "
            f"{health.reconnects} reconnects, latency {one.latency_p50_s * 1e3:.0f} ms median, "
            f"{one.latency_p95_s * 1e3:.0f} ms p95, {one.latency_p99_s * 1e3:.0f} ms p99",
            file=sys.stderr,
        )


def _plain(facts: dict[str, Any]) -> dict[str, Any]:
    return {key: str(value) if isinstance(value, Path) else value for key, value in facts.items()}
