"""Options of commands that work on cameras."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import TypeVar

from streamer.quantities import parse_duration, parse_size

__all__ = ["add_live_options"]

_T = TypeVar("_T")


def _quantity(parse: Callable[[str], _T]) -> Callable[[str], _T]:
    def read(text: str) -> _T:
        try:
            return parse(text)
        except ValueError as exc:
            raise argparse.ArgumentTypeError(f"{text!r} {exc}") from None

    return read


def add_live_options(parser: argparse.ArgumentParser) -> None:
    """What applies to cameras only."""
    group = parser.add_argument_group("cameras")
    group.add_argument("--realtime", action="store_true", help="play a file as if it were a camera")
    group.add_argument(
        "--credentials",
        metavar="REF",
        help="env:NAME or file:PATH that holds the camera's USER:PASSWORD",
    )
    group.add_argument(
        "--segment",
        type=_quantity(parse_duration),
        metavar="TIME",
        help="begin a new file each 10m, 1h ...; names get the wall clock (UTC)",
    )
    group.add_argument(
        "--keep-age",
        type=_quantity(parse_duration),
        metavar="TIME",
        help="remove segments that ended longer ago, such as 30d",
    )
    group.add_argument(
        "--keep-size",
        type=_quantity(parse_size),
        metavar="SIZE",
        help="remove the oldest segments beyond this, such as 200G",
    )
    group.add_argument(
        "--shared-keylog",
        action="store_true",
        default=None,
        help="one key log for all segments instead of one for each",
    )
    group.add_argument("--audio", choices=("copy", "mute", "drop"), help="default: copy")
