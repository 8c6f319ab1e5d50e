"""The commands for many cameras."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

from streamer.cli.parser_watch import add_watch_options

__all__ = ["add_run_commands"]


def add_run_commands(add: Callable[[str, str], argparse.ArgumentParser]) -> None:
    """Add `run`, and `camera` and `engines`, which it starts.

    Args:
        add: makes the parser of a command from its name and what it does.
    """
    run = add("run", "anonymise many cameras, each in a process of its own")
    run.add_argument("--config", type=Path, required=True, metavar="SITE.YAML", help="the cameras")
    run.add_argument(
        "--check", action="store_true", help="only read the file and say what is in it"
    )
    add_watch_options(run)
    for name, what in (
        ("camera", "one camera of a site; started by run, not by hand"),
        ("engines", "networks that the cameras of a site share; started by run, not by hand"),
    ):
        add(name, what).add_argument("--log-format", choices=("text", "json"), default="text")
