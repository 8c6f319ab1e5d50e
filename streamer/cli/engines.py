"""`engines`: the networks that the cameras of a site share, started by `run` and by nobody else."""

from __future__ import annotations

import argparse

from streamer.engine_child import run_engines
from streamer.json_logs import set_up_logging

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Serve networks until standard input ends; returns the exit code."""
    set_up_logging(args.log_format)
    return run_engines()
