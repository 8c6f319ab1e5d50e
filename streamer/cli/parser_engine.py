"""Options that say what runs the networks, and what they put over the configuration."""

from __future__ import annotations

import argparse
from typing import get_args

from engines.precision import Precision

__all__ = ["add_engine", "engine_overrides"]


def add_engine(parser: argparse.ArgumentParser) -> None:
    """Add `--provider`, `--precision` and `--workers`."""
    parser.add_argument(
        "--provider",
        choices=("auto", "cpu", "cuda", "openvino", "tensorrt"),
        help="what runs the networks (default: auto)",
    )
    parser.add_argument(
        "--precision",
        choices=get_args(Precision),
        help="what a CPU computes detector and generator in (default: auto, INT8 where it pays)",
    )
    parser.add_argument("--workers", type=int, metavar="N", help="render threads, 0: one per core")


def engine_overrides(args: argparse.Namespace) -> dict[str, str | int | None]:
    """What the command line says over the section `engine`; None: nothing."""
    return {
        "provider": args.provider,
        "precision": args.precision,
        "workers": args.workers,
    }
