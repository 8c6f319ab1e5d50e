"""Options of how a running camera is watched."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["add_watch_options", "watch_overrides"]


def add_watch_options(parser: argparse.ArgumentParser) -> None:
    """Where metrics and console are served, and how the log looks."""
    group = parser.add_argument_group("watching")
    group.add_argument(
        "--watch",
        metavar="HOST:PORT",
        help="serve the web console, /metrics, /healthz and /readyz there, such as 127.0.0.1:9464",
    )
    group.add_argument(
        "--watch-token-file",
        type=Path,
        metavar="F",
        help="file of the token that watchers need; required unless HOST is this machine only",
    )
    group.add_argument(
        "--log-format",
        choices=("text", "json"),
        default="text",
        help="json: one object a line, also what cameras do (default: text)",
    )


def watch_overrides(args: argparse.Namespace) -> dict[str, Mapping[str, Any]]:
    """What the command line says over the section `watch` of the configuration."""
    return {"watch": {"listen": args.watch, "token_file": args.watch_token_file}}
