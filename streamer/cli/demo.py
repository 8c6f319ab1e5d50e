"""`demo`: anonymise and recover a made-up sample, with pictures."""

from __future__ import annotations

import argparse
from pathlib import Path

from engines.errors import ConfigError
from streamer.cli.output import print_json
from streamer.config import load_config
from streamer.demo import run_demo
from streamer.interrupt import StopRequest
from streamer.progress import open_progress

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Run the demo; returns the exit code."""
    if not 0.2 <= args.seconds <= 120:
        raise ConfigError(f"--seconds must be from 0.2 to 120, not {args.seconds}")
    folder: Path = args.out
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{folder} is not a folder")
    with StopRequest() as stop, open_progress(quiet=args.quiet) as progress:
        files = run_demo(
            folder, load_config(None), duration_s=args.seconds, stop=stop, progress=progress
        )
    report = files.report
    print(f"sample        {files.sample}")
    print(f"anonymised    {files.anonymised}  ({report.frames} frames, {report.tracks} tracks,")
    print(f"              {report.replaced} faces replaced, {report.covered} covered)")
    print(f"key log       {files.keylog}  (password in {files.password_file})")
    print(f"side by side  {files.video}")
    print(f"picture       {files.strip}")
    if args.json:
        print_json(
            {
                "command": "demo",
                "frames": report.frames,
                "replaced": report.replaced,
                "covered": report.covered,
                "video": str(files.video),
                "strip": str(files.strip),
            }
        )
    return 0
