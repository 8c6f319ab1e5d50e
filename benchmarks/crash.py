"""A kill in the middle: the partial output plays, and the key log up to there recovers it."""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import av

from benchmarks.clips import (
    DEFAULT_SHARED,
    BenchmarkError,
    Teachers,
    find_clips,
    load_teachers,
    output_name,
)
from benchmarks.command_line import (
    anonymize_command,
    recover_command,
    run_command,
    write_password,
)
from benchmarks.recovery_measure import measure_recovery
from benchmarks.report import write_json
from benchmarks.source_faces import find_source_faces
from benchmarks.video_io import decode

__all__ = ["main", "partial_outputs", "playable_frames"]

# Anonymised faces are at 10 to 25 dB, recovered ones at 40 dB.
_RECOVERED_DB: Final = 35.0
_POLL_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class CrashFigures:
    """What is left after a kill.

    Attributes:
        clip: its name.
        frames: frames of the source.
        output: name of the partial output.
        playable: frames of it that decode.
        recovered: frames that the key log brings back from it.
        recover_exit: exit code of the recovery.
        psnr_db_p5: what 95 % of the recovered faces reach against the original.
        restored_percent: share of the faces in them that are the original again.
        message: last line of the recovery.
    """

    clip: str
    frames: int
    output: str
    playable: int
    recovered: int
    recover_exit: int
    psnr_db_p5: float
    restored_percent: float
    message: str

    @property
    def is_met(self) -> bool:
        """Whether the output plays and everything in it comes back."""
        has_faces = self.psnr_db_p5 >= _RECOVERED_DB
        return self.playable > 0 and self.recovered == self.playable and has_faces

    def line(self) -> str:
        """For the report."""
        return (
            f"{self.clip}: {self.playable} of {self.frames} frames play in {self.output}, "
            f"{self.recovered} recovered, {self.restored_percent:.0f} % of their faces restored, "
            f"95 % at {self.psnr_db_p5:.1f} dB or better "
            f"(exit code {self.recover_exit}) {self.message}"
        ).rstrip()


def partial_outputs(out: Path) -> list[Path]:
    """What there is of an output, complete or not, largest first; no key logs."""
    found = [
        path
        for path in out.parent.glob(f"*{out.stem}*")
        if path.is_file() and ".vskl" not in path.name
    ]
    return sorted(found, key=lambda path: -path.stat().st_size)


def playable_frames(path: Path) -> int:
    """Frames that decode before the first error or the end."""
    count = 0
    try:
        for _ in decode(path):
            count += 1
    except (av.FFmpegError, ValueError, IndexError):
        return count
    return count


def _kill_when_written(
    process: subprocess.Popen[bytes], out: Path, wanted_bytes: int, limit_s: float
) -> None:
    """Kill as soon as enough of the output lies on the disk."""
    end_s = time.monotonic() + limit_s
    while process.poll() is None and time.monotonic() < end_s:
        parts = partial_outputs(out)
        if parts and parts[0].stat().st_size >= wanted_bytes:
            break
        time.sleep(_POLL_S)
    process.send_signal(signal.SIGKILL)


def _keylog(folder: Path) -> Path:
    logs = sorted(folder.glob("*.vskl*"))
    if not logs:
        raise BenchmarkError("the kill left no key log")
    return logs[0]


def _restored(clip: Path, recovered: Path, teachers: Teachers) -> tuple[float, float]:
    """PSNR that 95 % of the faces reach, and percentage of the faces that are restored."""
    if not recovered.exists():
        return float("nan"), 0.0
    faces = find_source_faces(clip, teachers.yunet, None)
    figures = measure_recovery(clip, recovered, "sealed", faces, [], teachers.yunet)
    restored = sum(value >= _RECOVERED_DB for value in figures.psnr_db)
    return figures.low_psnr_db(), 100 * restored / max(1, len(figures.psnr_db))


def _crash(clip: Path, folder: Path, teachers: Teachers) -> CrashFigures:
    out = folder / output_name(clip)
    password = write_password(folder)
    command = anonymize_command(clip, out, out.with_name(out.name + ".vskl"), password)
    whole = run_command(command).require_success(f"anonymising {clip.name}")
    wanted = out.stat().st_size // 2
    for path in (*partial_outputs(out), *folder.glob("*.vskl*")):
        path.unlink()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _kill_when_written(process, out, wanted, whole.wall_s * 4 + 60)
    if process.wait() != -signal.SIGKILL:
        raise BenchmarkError(f"{clip.name}: it ended before it could be killed; use a longer clip")
    parts = partial_outputs(out)
    if not parts:
        raise BenchmarkError(f"{clip.name}: the kill left no output")
    recovered = folder / ("recovered_" + clip.stem + ".mkv")
    result = run_command(recover_command(parts[0], recovered, _keylog(folder), password, "sealed"))
    lines = result.stderr.strip().splitlines()
    psnr_db_p5, restored_percent = _restored(clip, recovered, teachers)
    return CrashFigures(
        clip=clip.name,
        frames=playable_frames(clip),
        output=parts[0].name,
        playable=playable_frames(parts[0]),
        recovered=playable_frames(recovered) if recovered.exists() else 0,
        recover_exit=result.exit_code,
        psnr_db_p5=psnr_db_p5,
        restored_percent=restored_percent,
        message=lines[-1] if lines else "",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Kill and look; 0 when all is there, 1 when something is lost, 2 when it cannot run."""
    parser = argparse.ArgumentParser(prog="benchmarks.crash", description=__doc__)
    parser.add_argument("clips", nargs="*", default=["selfie_group"], metavar="CLIP")
    parser.add_argument("--shared", type=Path, default=DEFAULT_SHARED, help="where the clips are")
    parser.add_argument("--json", type=Path, metavar="F", help="write all figures there")
    args = parser.parse_args(argv)
    figures = []
    try:
        teachers = load_teachers(args.shared)
        for clip in find_clips(args.clips, args.shared):
            with tempfile.TemporaryDirectory() as folder:
                figures.append(_crash(clip, Path(folder), teachers))
            print(figures[-1].line(), flush=True)
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    if args.json:
        write_json(args.json, {figure.clip: asdict(figure) for figure in figures})
    return 0 if all(figure.is_met for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
