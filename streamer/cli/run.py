"""`run`: many cameras of a site, each in a process of its own, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from streamer.camera_board import CameraBoard
from streamer.cli.parser_watch import watch_overrides
from streamer.config_watch import WatchConfig
from streamer.interrupt import StopRequest
from streamer.json_logs import set_up_logging
from streamer.sd_notify import SystemdNotifier
from streamer.site import load_site
from streamer.supervisor import Supervisor
from streamer.watch_server import open_watch_server

__all__ = ["run"]

_PROGRAM = Path(__file__).resolve().parents[2] / "run_stream.py"


def run(args: argparse.Namespace) -> int:
    """Run a site; returns the exit code."""
    set_up_logging(args.log_format)
    site = load_site(args.config)
    if args.check:
        print(f"{args.config}: {len(site.cameras)} cameras: {', '.join(site.cameras)}")
        return 0
    given = {key: one for key, one in watch_overrides(args)["watch"].items() if one is not None}
    watch = WatchConfig.model_validate({**site.watch.model_dump(), **given})
    command = [sys.executable, str(_PROGRAM), "camera", "--log-format", args.log_format]
    board = CameraBoard()
    supervisor = Supervisor(args.config, site, command, board=board, notifier=SystemdNotifier())
    with open_watch_server(watch, board), StopRequest() as stop:
        supervisor.run(stop)
    return 0
