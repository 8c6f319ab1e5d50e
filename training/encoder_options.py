"""Options that every training of the encoder has."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["encoder_parser"]


def encoder_parser(
    description: str | None, *, out: str, steps: int, seed: int, muon_lr: float
) -> argparse.ArgumentParser:
    """A parser that knows them; the arguments are defaults, which differ."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teachers", type=Path, default=Path("../shared/models"))
    parser.add_argument("--cache", type=Path, default=Path("../cache"))
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--minutes", type=float, default=float("inf"))
    parser.add_argument("--blend-files", type=int, default=2)
    parser.add_argument("--seed", type=int, default=seed)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--muon-lr", type=float, default=muon_lr)
    parser.add_argument("--crops", type=int, help="use only so many crops, for a quick try")
    return parser
