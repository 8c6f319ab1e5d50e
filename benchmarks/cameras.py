"""How many cameras of 1080p at 25 frames a second one machine carries without dropping a frame.

One more process at a time plays the footage as a camera does, until frames are dropped. Other work
on the machine lowers the answer; what the processor seconds of one camera allow is printed beside.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.clips import BenchmarkError
from benchmarks.command_line import (
    CommandResult,
    anonymize_command,
    run_command,
    write_password,
)
from benchmarks.portraits_video import MAX_FACES, write_portraits
from benchmarks.report import markdown_table, write_json
from benchmarks.system_info import describe_system

__all__ = ["CameraFigure", "carried", "main", "measure"]

_RATE_HZ: Final = 25
_SIZE_HW: Final = (1080, 1920)


@dataclass(frozen=True, slots=True)
class CameraFigure:
    """So many cameras at once.

    Attributes:
        cameras: processes that ran side by side.
        frames: frames that came out of all.
        dropped: frames that were dropped before detection, of all.
        cpu_s_per_frame: processor time of a frame that came out, start-up included.
        load_1min: load average when they had ended.
    """

    cameras: int
    frames: int
    dropped: int
    cpu_s_per_frame: float
    load_1min: float


def measure(cameras: int, run: Callable[[int], CommandResult]) -> CameraFigure:
    """Run cameras side by side.

    Args:
        cameras: how many.
        run: plays one to its end; takes its number.

    Raises:
        BenchmarkError: one of them failed.
    """
    with ThreadPoolExecutor(cameras) as pool:
        results = list(pool.map(run, range(cameras)))
    found = [r.require_success(f"camera {n}").summary() for n, r in enumerate(results)]
    frames = sum(int(summary["frames"]) for summary in found)
    return CameraFigure(
        cameras,
        frames,
        sum(int(summary["dropped"]) for summary in found),
        sum(result.cpu_s for result in results) / max(frames, 1),
        round(os.getloadavg()[0], 2),
    )


def carried(figures: Sequence[CameraFigure]) -> int:
    """The largest number of cameras of which none dropped a frame."""
    return max((figure.cameras for figure in figures if not figure.dropped), default=0)


def _player(source: Path, scratch: Path, config: str) -> Callable[[int], CommandResult]:
    password = write_password(scratch)

    def run(number: int) -> CommandResult:
        out = scratch / f"camera_{number}.mkv"
        extra = ("--realtime", "--workers", "1", "--config", config)
        log = out.with_suffix(".vskl")
        return run_command(anonymize_command(source, out, log, password, *extra))

    return run


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when it ran, 2 when it could not."""
    parser = argparse.ArgumentParser(prog="benchmarks.cameras", description=__doc__)
    parser.add_argument("--most", type=int, default=4, metavar="N", help="cameras to try at most")
    parser.add_argument("--seconds", type=int, default=20, metavar="S", help="length of each try")
    parser.add_argument("--faces", type=int, default=1, choices=range(MAX_FACES + 1), metavar="N")
    parser.add_argument("--config", default="live-camera", help="as of anonymize")
    parser.add_argument("--json", type=Path, metavar="F", help="write all figures there")
    args = parser.parse_args(argv)
    figures: list[CameraFigure] = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            source = Path(folder) / "camera.mp4"
            write_portraits(source, args.seconds * _RATE_HZ, args.faces, size_hw=_SIZE_HW)
            run = _player(source, Path(folder), args.config)
            for cameras in range(1, args.most + 1):
                figures.append(measure(cameras, run))
                if figures[-1].dropped:
                    break
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    rows = [
        [
            str(f.cameras), str(f.frames), str(f.dropped), f"{f.cpu_s_per_frame:.4f}",
            f"{f.load_1min:.1f}",
        ]
        for f in figures
    ]  # fmt: skip
    system = describe_system()
    print(system.line())
    print(markdown_table(("cameras", "frames", "dropped", "CPU s/frame", "load"), rows))
    print(f"carried without dropping: {carried(figures)} cameras of 1080p25, {args.faces} faces")
    possible = system.core_count / (_RATE_HZ * figures[0].cpu_s_per_frame)
    print(f"by the processor seconds of one, if the cores were free: {possible:.2f}")
    if args.json:
        write_json(args.json, {"figures": [asdict(f) for f in figures], "possible": possible})
    return 0


if __name__ == "__main__":
    sys.exit(main())
