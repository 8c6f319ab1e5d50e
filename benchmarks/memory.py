"""Memory over a long recording: frame 10,000 against frame 1,000, and the peak."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from benchmarks.clips import BenchmarkError
from benchmarks.command_line import (
    anonymize_command,
    run_command,
    tree_rss_bytes,
    write_password,
)
from benchmarks.portraits_video import write_portraits
from benchmarks.report import write_json
from benchmarks.system_info import describe_system

__all__ = ["MemoryFigures", "Sample", "figures_from", "main"]

_GROWTH_BAR_MIB: Final = 50.0
_PEAK_BAR_MIB: Final = 800.0
_INTERVAL_S: Final = 0.2
_EARLY_FRAMES: Final = (500, 1500)
_LATE_FRAME: Final = 10_000
_PROGRESS: Final = re.compile(r"(analyse|render|recover): (\d+)/")


@dataclass(frozen=True, slots=True)
class Sample:
    """Memory at one moment.

    Attributes:
        phase: what the program was doing.
        done: frames it had done in this phase.
        rss_bytes: resident size of the process tree.
    """

    phase: str
    done: int
    rss_bytes: int


@dataclass(frozen=True, slots=True)
class MemoryFigures:
    """Resident memory of one phase.

    Attributes:
        phase: analyse or render.
        early_mib: around frame 1,000.
        late_mib: from frame 10,000 on, or in the last tenth of a shorter recording.
        peak_mib: in this phase.
    """

    phase: str
    early_mib: float
    late_mib: float
    peak_mib: float

    @property
    def growth_mib(self) -> float:
        """How much more it was late than early."""
        return self.late_mib - self.early_mib


def figures_from(samples: Sequence[Sample], frames: int) -> list[MemoryFigures]:
    """Figures of each phase.

    Args:
        samples: in the order of time.
        frames: frames of the recording.

    Raises:
        BenchmarkError: a phase has no sample near frame 1,000 or near the end.
    """
    found = []
    late_from = min(_LATE_FRAME, round(frames * 0.9))
    for phase in dict.fromkeys(sample.phase for sample in samples if sample.phase):
        own = [sample for sample in samples if sample.phase == phase]
        early = [s.rss_bytes for s in own if _EARLY_FRAMES[0] <= s.done <= _EARLY_FRAMES[1]]
        late = [s.rss_bytes for s in own if s.done >= late_from]
        if not early or not late:
            raise BenchmarkError(f"phase {phase} was too short to sample its memory")
        found.append(
            MemoryFigures(
                phase=phase,
                early_mib=sum(early) / len(early) / 2**20,
                late_mib=sum(late) / len(late) / 2**20,
                peak_mib=max(s.rss_bytes for s in own) / 2**20,
            )
        )
    if not found:
        raise BenchmarkError("the program showed no progress")
    return found


def _progress(path: Path) -> tuple[str, int]:
    """Phase and frames of the newest progress line."""
    lines = _PROGRESS.findall(path.read_text(encoding="utf-8", errors="replace"))
    return (lines[-1][0], int(lines[-1][1])) if lines else ("", 0)


def _sample(frames: int, scratch: Path, options: Sequence[str]) -> list[Sample]:
    """Anonymise and note progress and memory while the program runs."""
    source = scratch / "long.mp4"
    write_portraits(source, frames, 1, size_hw=(360, 640), card_px=240)
    progress = scratch / "progress.txt"
    samples: list[Sample] = []

    def watch(process: subprocess.Popen[bytes]) -> None:
        while rss := tree_rss_bytes(process.pid):
            samples.append(Sample(*_progress(progress), rss))
            time.sleep(_INTERVAL_S)

    command = anonymize_command(
        source, scratch / "out.mp4", scratch / "long.vskl", write_password(scratch), *options
    )
    command.remove("--quiet")
    result = run_command(command, on_start=watch, stderr_path=progress)
    result.require_success("anonymising the long recording")
    return samples


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; 0 when both bars are met, 1 when one is missed, 2 when it cannot run."""
    parser = argparse.ArgumentParser(prog="benchmarks.memory", description=__doc__)
    parser.add_argument("--frames", type=int, default=11_000, help="length of the recording")
    parser.add_argument("--json", type=Path, metavar="F", help="write all figures there")
    parser.add_argument(
        "--option", action="append", default=[], metavar="ARG", help="passed on to anonymize"
    )
    args = parser.parse_args(argv)
    try:
        with tempfile.TemporaryDirectory() as folder:
            samples = _sample(args.frames, Path(folder), args.option)
        figures = figures_from(samples, args.frames)
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    print(describe_system().line())
    for phase in figures:
        print(
            f"{phase.phase}: {phase.early_mib:.0f} MiB at frame 1,000, {phase.late_mib:.0f} MiB "
            f"late ({phase.growth_mib:+.0f}, bar {_GROWTH_BAR_MIB:.0f}), peak "
            f"{phase.peak_mib:.0f} MiB (bar {_PEAK_BAR_MIB:.0f})"
        )
    if args.json:
        write_json(args.json, {phase.phase: asdict(phase) for phase in figures})
    is_met = all(
        phase.growth_mib <= _GROWTH_BAR_MIB and phase.peak_mib <= _PEAK_BAR_MIB for phase in figures
    )
    return 0 if is_met else 1


if __name__ == "__main__":
    sys.exit(main())
