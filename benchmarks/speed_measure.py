"""Cost per frame of a program that turns one video file into another, start-up left out."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.command_line import (
    CommandResult,
    anonymize_command,
    run_command,
    write_password,
)

__all__ = [
    "Cost",
    "Runner",
    "command_peer",
    "measure_cost",
    "our_runner",
    "peer_missing",
    "peer_runner",
    "recode_runner",
]

# Decode and encode alone, as our own program does them: what no anonymiser can undercut.
_RECODE: Final = """
import sys, av
from fractions import Fraction
source, output = sys.argv[1:]
with av.open(source) as a, av.open(output, "w") as b:
    video = a.streams.video[0]
    video.thread_count = 2
    out = b.add_stream("libx264", rate=25, options={"preset": "ultrafast", "crf": "23"})
    out.width, out.height, out.pix_fmt = video.width, video.height, "yuv420p"
    out.codec_context.thread_count = 2
    for number, frame in enumerate(a.decode(video)):
        frame.pts, frame.time_base, frame.pict_type = number, Fraction(1, 25), 0
        b.mux(out.encode(frame))
    b.mux(out.encode(None))
"""


@dataclass(frozen=True, slots=True)
class Runner:
    """A program that makes an output of a clip.

    Attributes:
        name: for reports.
        command: source and output to arguments.
        cores: how many cores it may use, None for all.
        is_peer: whether it is somebody else's.
    """

    name: str
    command: Callable[[Path, Path], list[str]]
    cores: int | None = None
    is_peer: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    """What a frame costs.

    Attributes:
        name: the program.
        cpu_s_per_frame: user and system time of the process tree, start-up left out.
        wall_fps: frames per second of wall time, start-up left out; other work on the machine
            lowers it; 0 when that made the short run longer than the whole one.
        idle_fps: cores the program could use, by CPU seconds per frame: the ceiling of `wall_fps`.
        start_cpu_s: CPU time before and beside the frames.
        peak_rss_mib: greatest memory of the process tree.
        frames: frames of the long and the short run.
        load_1min: load average after the long run.
    """

    name: str
    cpu_s_per_frame: float
    wall_fps: float
    idle_fps: float
    start_cpu_s: float
    peak_rss_mib: float
    frames: tuple[int, int]
    load_1min: float = field(default=0.0)

    def line(self) -> str:
        """For progress."""
        return (
            f"{self.name}: {self.cpu_s_per_frame:.4f} CPU s/frame, {self.wall_fps:.1f} fps, "
            f"start-up {self.start_cpu_s:.1f} CPU s, {self.peak_rss_mib:.0f} MiB"
        )


def our_runner(name: str, options: Sequence[str], *, cores: int | None = None) -> Runner:
    """This project, key log on."""

    def command(source: Path, output: Path) -> list[str]:
        keylog = output.with_name(output.name + ".vskl")
        password = write_password(output.parent)
        return anonymize_command(source, output, keylog, password, *options)

    return Runner(name, command, cores=cores)


def recode_runner() -> Runner:
    """Decoding and encoding with nothing between."""
    return Runner(
        "decode + encode only",
        lambda source, output: [sys.executable, "-c", _RECODE, str(source), str(output)],
    )


def peer_missing(python: str) -> str | None:
    """Why deface cannot run in an interpreter, or None when it can."""
    check = "import deface, onnxruntime"
    result = subprocess.run([python, "-c", check], capture_output=True, text=True, check=False)
    if result.returncode == 0:
        return None
    return (result.stderr.strip().splitlines() or ["it cannot be imported"])[-1]


def peer_runner(name: str, python: str, *options: str) -> Runner:
    """The deface package, audio kept as ours keeps it."""

    def command(source: Path, output: Path) -> list[str]:
        call = "import sys; from deface.deface import main; sys.exit(main())"
        return [python, "-c", call, "--keep-audio", *options, "-o", str(output), str(source)]

    return Runner(name, command, is_peer=True)


def command_peer(text: str) -> Runner:
    """Any other program, from `NAME=COMMAND` with {source} and {output} in the command.

    Raises:
        ArgumentTypeError: the text has another form.
    """
    name, _, command = text.partition("=")
    words = shlex.split(command)
    if not name or not any("{source}" in w for w in words):
        raise argparse.ArgumentTypeError("NAME=COMMAND with {source} and {output} is needed")
    if not any("{output}" in w for w in words):
        raise argparse.ArgumentTypeError("the command lacks {output}")

    def filled(source: Path, output: Path) -> list[str]:
        places = {"{source}": str(source), "{output}": str(output)}
        return [_replaced(word, places) for word in words]

    return Runner(name, filled, is_peer=True)


def _replaced(word: str, places: Mapping[str, str]) -> str:
    for place, text in places.items():
        word = word.replace(place, text)
    return word


def _run(runner: Runner, source: Path, scratch: Path) -> CommandResult:
    output = scratch / f"out_{source.stem}.mp4"
    output.unlink(missing_ok=True)
    result = run_command(runner.command(source, output), cores=runner.cores)
    return result.require_success(f"{runner.name} on {source.name}")


def measure_cost(
    runner: Runner, clip: Path, short: Path, frames: tuple[int, int], scratch: Path
) -> Cost:
    """Run a program on a clip and on its first frames.

    Args:
        runner: the program.
        clip: the whole clip.
        short: its first frames.
        frames: how many frames the two have.
        scratch: folder for outputs.

    Raises:
        BenchmarkError: the program failed.
    """
    part = _run(runner, short, scratch)
    whole = _run(runner, clip, scratch)
    count = frames[0] - frames[1]
    cpu_s = max((whole.cpu_s - part.cpu_s) / count, 1e-6)
    wall_s = (whole.wall_s - part.wall_s) / count
    cores = runner.cores or len(os.sched_getaffinity(0))
    return Cost(
        name=runner.name,
        cpu_s_per_frame=cpu_s,
        wall_fps=1 / wall_s if wall_s > 0 else 0.0,
        idle_fps=cores / cpu_s,
        start_cpu_s=max(0.0, part.cpu_s - cpu_s * frames[1]),
        peak_rss_mib=max(whole.peak_rss_bytes, part.peak_rss_bytes) / 2**20,
        frames=frames,
        load_1min=round(os.getloadavg()[0], 2),
    )
