"""`camera`: one camera of a site, started by `run` and by nobody else."""

from __future__ import annotations

import argparse

from streamer.camera_child import run_camera
from streamer.json_logs import set_up_logging

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Run the camera that standard input describes; returns the exit code."""
    set_up_logging(args.log_format)
    return run_camera()
