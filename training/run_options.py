"""Options that the trainings of generator and reader share."""

from __future__ import annotations

import argparse
from pathlib import Path

__all__ = ["run_parser"]


def run_parser(
    prog: str, description: str | None, *, out: str, images: int, batch: int
) -> argparse.ArgumentParser:
    """A parser with what every training on aligned crops needs.

    Args:
        prog: name of the command.
        description: what it does.
        out: default folder of the run.
        images: default of how many images it takes.
        batch: default images a step.
    """
    parser = argparse.ArgumentParser(prog=prog, description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder of the face sets")
    parser.add_argument("--teachers", type=Path, default=Path("../shared/models"))
    parser.add_argument("--cache", type=Path, default=Path("build/cache"))
    parser.add_argument("--encoder", type=Path, default=Path("engines/weights/encoder.onnx"))
    parser.add_argument("--out", type=Path, default=Path(out))
    parser.add_argument("--images", type=int, default=images, help="stop after so many images")
    parser.add_argument("--minutes", type=float, default=1e9, help="or after so much time")
    parser.add_argument("--batch", type=int, default=batch)
    parser.add_argument("--rate", type=float, default=6e-4, help="of learning")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    return parser
