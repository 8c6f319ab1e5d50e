"""What cameras that share their networks save: memory, processor time and runs of networks.

The same site runs in turns with networks of each camera's own and with shared ones, in one run of
this script. Files play the cameras.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import yaml
from prometheus_client.parser import text_string_to_metric_families

from benchmarks.clips import BenchmarkError
from benchmarks.command_line import write_password
from benchmarks.live_service import LiveService
from benchmarks.portraits_video import MAX_FACES, portrait_frames
from benchmarks.processes import cpu_s_of, process_tree
from benchmarks.report import markdown_table, write_json
from benchmarks.system_info import describe_system
from benchmarks.video_io import write_video

__all__ = ["SharingFigure", "main", "measure"]

_START_LIMIT_S: Final = 120.0
_SETTLE_S: Final = 5.0
_STEP_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class SharingFigure:
    """A site for some seconds.

    Attributes:
        shared: whether its cameras shared their networks.
        memory_mb: of all its processes, where shared pages count in parts (PSS).
        cpu_s_per_frame: processor time of all its processes for a frame that came out.
        frames: frames that came out.
        dropped: frames that were dropped.
        p95_ms: latency of the slowest camera.
        calls: of shared networks.
        runs: of shared networks.
    """

    shared: bool
    memory_mb: float
    cpu_s_per_frame: float
    frames: int
    dropped: int
    p95_ms: float
    calls: int
    runs: int


def _memory_mb(pids: Sequence[int]) -> float:
    total_kb = 0
    for pid in pids:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        total_kb += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total_kb * 1024 / 1e6


def _cpu_s(pids: Sequence[int]) -> float:
    return sum(map(cpu_s_of, pids))


def _asked(service: LiveService) -> tuple[int, int]:
    text = service.fetch("metrics").decode()
    totals = {"veilstream_engine_calls_total": 0.0, "veilstream_engine_runs_total": 0.0}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name in totals:
                totals[sample.name] += sample.value
    calls, runs = totals.values()
    return int(calls), int(runs)


def _site(folder: Path, source: Path, cameras: int, *, shared: bool) -> Path:
    folder.mkdir()
    password = str(write_password(folder))
    site = {
        "engines": {"shared": shared},
        "settings": {"engine": {"provider": "cpu", "workers": 1}},
        "cameras": {
            f"camera{n}": {
                "url": str(source),
                "realtime": True,
                "out": [f"{folder}/camera{n}.mkv"],
                "password_file": password,
            }
            for n in range(cameras)
        },
    }
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(site), encoding="utf-8")
    return path


def measure(
    folder: Path, source: Path, cameras: int, *, shared: bool, seconds: float
) -> SharingFigure:
    """Run a site for some seconds after all its cameras are live.

    Args:
        folder: for its files; made.
        source: file that plays each camera; longer than this takes.
        cameras: how many.
        shared: whether they share their networks.
        seconds: how long to measure.

    Raises:
        BenchmarkError: a camera did not come up, or was started again.
    """
    site = _site(folder, source, cameras, shared=shared)
    with LiveService(["run", "--config", site], folder) as service:
        end_s = time.monotonic() + _START_LIMIT_S
        while sum(one["frames_out"] > 0 for one in service.cameras().values()) < cameras:
            if time.monotonic() > end_s:
                raise BenchmarkError(f"the cameras did not come up: {service.cameras()}")
            time.sleep(_STEP_S)
        time.sleep(_SETTLE_S)
        pids = process_tree(service.pid)
        before, cpu_s, asked = service.cameras(), _cpu_s(pids), _asked(service)
        memory_mb, end_s = [], time.monotonic() + seconds
        while time.monotonic() < end_s:
            memory_mb.append(_memory_mb(pids))
            time.sleep(5 * _STEP_S)
        after, used_s, asked_after = service.cameras(), _cpu_s(pids) - cpu_s, _asked(service)
        if any(one["restarts"] for one in after.values()):
            raise BenchmarkError("a camera was started again: a longer film is needed")
        service.stop()

    def more(name: str) -> int:
        return sum(int(after[camera][name]) - int(before[camera][name]) for camera in after)

    frames = more("frames_out")
    return SharingFigure(
        shared,
        statistics.median(memory_mb),
        used_s / max(frames, 1),
        frames,
        more("frames_dropped"),
        max(float(one["latency_ms"]["p95"]) for one in after.values()),
        asked_after[0] - asked[0],
        asked_after[1] - asked[1],
    )


def make_parser() -> argparse.ArgumentParser:
    """The options."""
    parser = argparse.ArgumentParser(prog="benchmarks.shared_engines", description=__doc__)
    parser.add_argument("--cameras", type=int, default=4, metavar="N")
    parser.add_argument("--rounds", type=int, default=2, metavar="N", help="turns of each kind")
    parser.add_argument("--seconds", type=float, default=30.0, metavar="S", help="of a turn")
    parser.add_argument("--rate", type=int, default=5, metavar="N", help="frames a second")
    parser.add_argument("--size", default="1280x720", help="of the picture")
    parser.add_argument("--faces", type=int, default=1, choices=range(MAX_FACES + 1), metavar="N")
    parser.add_argument("--json", type=Path, metavar="F", help="write all figures there")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when it ran, 2 when it could not."""
    args = make_parser().parse_args(argv)
    width, height = (int(side) for side in args.size.split("x"))
    figures: list[SharingFigure] = []
    try:
        with tempfile.TemporaryDirectory() as name:
            count = round((args.seconds + _SETTLE_S + 90) * args.rate)
            frames = portrait_frames(count, args.faces, size_hw=(height, width))
            source = Path(name) / "camera.mp4"
            write_video(source, frames, rate_hz=args.rate, options={"preset": "ultrafast"})
            for turn in range(2 * args.rounds):
                figures.append(
                    measure(
                        Path(name) / f"turn{turn}", source, args.cameras,
                        shared=bool(turn % 2), seconds=args.seconds,
                    )
                )  # fmt: skip
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    rows = [
        [
            "shared" if f.shared else "their own", f"{f.memory_mb:.0f}", f"{f.cpu_s_per_frame:.4f}",
            str(f.frames), str(f.dropped), f"{f.p95_ms:.0f}",
            f"{f.calls} in {f.runs} runs" if f.shared else "-",
        ]
        for f in figures
    ]  # fmt: skip
    print(describe_system().line())
    print(f"{args.cameras} cameras of {args.size} at {args.rate} a second, {args.faces} faces")
    head = ("networks", "memory, MB", "CPU s/frame", "frames", "dropped", "p95, ms", "calls")
    print(markdown_table(head, rows))
    if args.json:
        write_json(args.json, {"figures": [asdict(figure) for figure in figures]})
    return 0


if __name__ == "__main__":
    sys.exit(main())
