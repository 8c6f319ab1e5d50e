"""`run`: many cameras of a site, each in a process of its own, until Ctrl-C or SIGTERM."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pydantic import ValidationError

from engines.errors import ConfigError
from streamer.camera_board import CameraBoard
from streamer.cli.parser_watch import watch_overrides
from streamer.config import explain
from streamer.config_watch import WatchConfig
from streamer.interrupt import StopRequest
from streamer.json_logs import set_up_logging
from streamer.sd_notify import SystemdNotifier
from streamer.shared_engines import SharedEngines
from streamer.site import Site, load_site
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
    watch = _watch_config(args, site)
    engines = SharedEngines(_command("engines", args))
    board = CameraBoard(engines=engines.use)
    supervisor = Supervisor(
        args.config, site, _command("camera", args), board=board,
        notifier=SystemdNotifier(), engines=engines,
    )  # fmt: skip
    with open_watch_server(watch, board), StopRequest() as stop:
        supervisor.run(stop)
    return 0


def _command(name: str, args: argparse.Namespace) -> list[str]:
    return [sys.executable, str(_PROGRAM), name, "--log-format", args.log_format]


def _watch_config(args: argparse.Namespace, site: Site) -> WatchConfig:
    """The site's, with what the command line says over it.

    Raises:
        ConfigError: they do not fit together.
    """
    given = {key: one for key, one in watch_overrides(args)["watch"].items() if one is not None}
    try:
        return WatchConfig.model_validate({**site.watch.model_dump(), **given})
    except ValidationError as exc:
        raise ConfigError(explain(exc, WatchConfig)) from None
