"""How the cost of a frame grows with the number of faces in it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.clips import BenchmarkError
from benchmarks.portraits_video import MAX_FACES, write_portraits
from benchmarks.report import markdown_table, write_json
from benchmarks.speed_measure import Cost, measure_cost, our_runner
from benchmarks.system_info import describe_system

__all__ = ["cost_per_face_ms", "is_within_bars", "main"]

_BAR_MS: Final = 20.0
# Of the variance of the costs: below, they do not grow in a straight line.
_LINE_BAR: Final = 0.95
_SHORT_FRAMES: Final = 12


def cost_per_face_ms(faces: Sequence[int], cpu_s_per_frame: Sequence[float]) -> tuple[float, float]:
    """The line through the costs.

    Args:
        faces: faces of each measurement, at least two different numbers.
        cpu_s_per_frame: cost of each.

    Returns:
        Milliseconds for each further face, and the share of the variance that the line explains.
    """
    slope, start = np.polyfit(faces, cpu_s_per_frame, 1)
    costs = np.asarray(cpu_s_per_frame)
    residual = costs - (start + slope * np.asarray(faces))
    spread = float(((costs - costs.mean()) ** 2).sum())
    explained = 1 - float((residual**2).sum()) / spread if spread > 0 else 1.0
    return 1000 * float(slope), explained


def is_within_bars(slope_ms: float, explained_ratio: float) -> bool:
    """Whether a further face is cheap enough, and costs the same however many there are."""
    return slope_ms < _BAR_MS and explained_ratio >= _LINE_BAR


def _measure(faces: int, frames: int, options: Sequence[str], scratch: Path) -> Cost:
    long = write_portraits(scratch / f"long_{faces}.mp4", frames, faces)
    short = write_portraits(scratch / f"short_{faces}.mp4", _SHORT_FRAMES, faces)
    runner = our_runner(f"{faces} faces", options)
    cost = measure_cost(runner, long, short, (frames, _SHORT_FRAMES), scratch)
    long.unlink()
    print(cost.line(), file=sys.stderr, flush=True)
    return cost


def _face_count(text: str) -> int:
    count = int(text)
    if not 0 <= count <= MAX_FACES:
        raise argparse.ArgumentTypeError(f"from 0 to {MAX_FACES}")
    return count


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; 0 when both bars are met, 1 when one is missed, 2 when it cannot run."""
    parser = argparse.ArgumentParser(prog="benchmarks.face_scaling", description=__doc__)
    parser.add_argument(
        "--faces", type=_face_count, nargs="+", default=[0, 1, 2, 4, 8], metavar="N"
    )
    parser.add_argument("--frames", type=int, default=112, help="length of each video, 1280x720")
    parser.add_argument("--json", type=Path, metavar="F", help="write all figures there")
    parser.add_argument(
        "--option", action="append", default=[], metavar="ARG", help="passed on to anonymize"
    )
    args = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as folder:
            costs = [_measure(n, args.frames, args.option, Path(folder)) for n in args.faces]
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    slope_ms, explained = cost_per_face_ms(args.faces, [c.cpu_s_per_frame for c in costs])
    rows = [
        [str(n), f"{c.cpu_s_per_frame:.4f}", f"{c.wall_fps:.1f}"]
        for n, c in zip(args.faces, costs, strict=True)
    ]
    print(describe_system().line())
    print(markdown_table(("faces", "CPU s/frame", "fps"), rows))
    print(
        f"each further face: {slope_ms:.1f} ms (bar {_BAR_MS:.0f}); "
        f"a straight line explains {100 * explained:.0f} % (bar {100 * _LINE_BAR:.0f})"
    )
    if args.json:
        figures = {str(n): asdict(c) for n, c in zip(args.faces, costs, strict=True)}
        write_json(args.json, {"ms_per_face": slope_ms, "explained": explained, "costs": figures})
    return 0 if is_within_bars(slope_ms, explained) else 1


if __name__ == "__main__":
    sys.exit(main())
