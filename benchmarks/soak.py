"""Soak: a camera with a fault every 30 seconds, and what that does to memory, files and faces.

`python -m benchmarks.soak --minutes 30` ends with exit code 1 when a bar is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

from benchmarks.clips import DEFAULT_SHARED, BenchmarkError, load_teachers
from benchmarks.command_line import recover_command, run_command
from benchmarks.live_camera import Camera
from benchmarks.live_clip import CodedClip, write_coded_clip, write_resized_clip
from benchmarks.live_exposure import LiveExposure, judge_outputs
from benchmarks.live_proxy import RtspProxy
from benchmarks.live_run import Resources, recordings
from benchmarks.live_service import LiveService, anonymize_service
from benchmarks.report import markdown_table, write_json
from benchmarks.soak_faults import FAULTS, PATIENCE_S, Rig
from benchmarks.system_info import describe_system

__all__ = ["SoakFigures", "main", "make_parser", "soak"]

_MOST_GROWTH_MB: Final = 30.0
_WARM_UP_S: Final = 45.0
_SAMPLE_EVERY_S: Final = 1.0
_LOOK_BACK_FRAMES: Final = 3
# The camera's other size, as a share of its own.
_OTHER_SIZE_RATIO: Final = 0.75


@dataclass(frozen=True, slots=True)
class SoakFigures:
    """What a soak found.

    Attributes:
        minutes: how long it ran.
        faults: name of each fault and seconds from its end to the next frame put out.
        rss_start_mb: resident memory after warming up, median over ten seconds.
        rss_end_mb: the same at the end.
        rss_most_mb: most that was ever held, also in a fault.
        descriptors: open files before each fault: fewest and most.
        threads: threads before each fault: fewest and most.
        cpu_s_per_s: processor seconds a second.
        frames: frames put out.
        dropped: frames dropped before detection.
        reconnects: connections that came back.
        exposure: what all recordings show, and what was published.
        segments: recordings.
        not_recovered: recordings that `recover` did not accept.
        exit_code: of the job.
    """

    minutes: float
    faults: list[tuple[str, float]]
    rss_start_mb: float
    rss_end_mb: float
    rss_most_mb: float
    descriptors: tuple[int, int]
    threads: tuple[int, int]
    cpu_s_per_s: float
    frames: int
    dropped: int
    reconnects: int
    exposure: LiveExposure
    segments: int
    not_recovered: list[str]
    exit_code: int

    def missed(self) -> list[str]:
        """The bars that were missed."""
        growth_mb = self.rss_end_mb - self.rss_start_mb
        bars = (
            (bool(self.faults), "there was no fault"),
            (self.exposure.faces > 0, "no face was compared"),
            (growth_mb <= _MOST_GROWTH_MB, f"memory grew by {growth_mb:.1f} MB"),
            (self.descriptors[1] - self.descriptors[0] <= 2, f"descriptors {self.descriptors}"),
            (self.threads[1] - self.threads[0] <= 2, f"threads {self.threads}"),
            (not self.exposure.exposed, f"{len(self.exposure.exposed)} exposed faces"),
            (not self.exposure.unplayable, f"do not play: {self.exposure.unplayable}"),
            (not self.not_recovered, f"do not recover: {self.not_recovered}"),
            (self.exit_code == 0, f"exit code {self.exit_code}"),
        )
        return [text for is_met, text in bars if not is_met]


@dataclass(slots=True)
class _Samples:
    """Resources over time, and before each fault."""

    all: list[Resources] = field(default_factory=list)
    quiet: list[Resources] = field(default_factory=list)
    recovered_s: list[tuple[str, float]] = field(default_factory=list)

    def rss_mb(self, part: slice) -> float:
        return statistics.median(one.rss_bytes for one in self.all[part]) / 1e6


@contextmanager
def _sampling(service: LiveService) -> Iterator[_Samples]:
    """What the job holds, every second, also in the middle of a fault."""
    samples, ended = _Samples(), threading.Event()

    def sample() -> None:
        # A job that has ended is told by whoever waits for its frames.
        with contextlib.suppress(OSError):
            while not ended.wait(_SAMPLE_EVERY_S):
                samples.all.append(service.resources())

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield samples
    finally:
        ended.set()
        thread.join()


def _run_faults(rig: Rig, samples: _Samples, *, seconds: float, every_s: float) -> None:
    start_s = time.monotonic()
    number = 0
    while time.monotonic() - start_s < seconds:
        time.sleep(max(0.0, start_s + (number + 1) * every_s - time.monotonic()))
        samples.quiet.append(rig.service.resources())
        name, fault = FAULTS[number % len(FAULTS)]
        fault(rig)
        took_s = rig.service.wait_until_back(PATIENCE_S, held_frames=_LOOK_BACK_FRAMES)
        samples.recovered_s.append((name, round(took_s, 2)))
        print(f"{name}: a frame {took_s:.2f} s later", file=sys.stderr, flush=True)
        number += 1
    time.sleep(10 * _SAMPLE_EVERY_S)


def _not_recovered(files: Sequence[Path], password: Path, folder: Path) -> list[str]:
    failed = []
    for path in files:
        keylog = path.with_name(path.name + ".vskl")
        out = folder / ("recovered_" + path.name)
        done = run_command(recover_command(path, out, keylog, password, "auto"))
        if done.exit_code or not out.exists():
            failed.append(f"{path.name}: {(done.stderr.strip().splitlines() or ['?'])[-1]}")
        out.unlink(missing_ok=True)
    return failed


def soak(args: argparse.Namespace, clip: CodedClip, folder: Path) -> SoakFigures:
    """Run a camera with faults and judge what it left."""
    segments, published = folder / "segments", folder / "published"
    segments.mkdir()
    published.mkdir()
    with ExitStack() as stack:
        camera = stack.enter_context(Camera(clip.path))
        viewer = stack.enter_context(Camera(published / "published.ts", records=True))
        proxy = stack.enter_context(RtspProxy(camera.port))
        outs: list[Path | str] = [segments / "cam.mkv", f"rtsp://127.0.0.1:{viewer.port}/camera"]
        options = ("--config", str(_config(folder, args)), "--segment", f"{args.segment_s:g}s")
        url = f"rtsp://127.0.0.1:{proxy.port}/camera"
        service = stack.enter_context(anonymize_service(url, outs, folder, *options))
        service.wait_for_frames(5, PATIENCE_S)
        time.sleep(args.warm_up)
        videos = (clip.path, _other_size(clip, args.rate, folder))
        rig = Rig(camera, proxy, service, viewer, videos, held_s=min(5.0, args.every / 3))
        cpu_s, start_s = service.cpu_s(), time.monotonic()
        with _sampling(service) as samples:
            _run_faults(rig, samples, seconds=args.minutes * 60, every_s=args.every)
        used = (service.cpu_s() - cpu_s) / (time.monotonic() - start_s)
        last = service.camera() or {}
        exit_code = service.stop()
    files = recordings(segments)
    # A server that was killed before its first key frame leaves a file of nothing.
    heard = [path for path in recordings(published) if path.stat().st_size]
    print(f"{len(files)} segments to judge", file=sys.stderr, flush=True)
    quiet = samples.quiet
    return SoakFigures(
        minutes=args.minutes,
        faults=samples.recovered_s,
        rss_start_mb=samples.rss_mb(slice(10)),
        rss_end_mb=samples.rss_mb(slice(-10, None)),
        rss_most_mb=max(one.rss_bytes for one in samples.all) / 1e6,
        descriptors=_range([one.descriptors for one in quiet]),
        threads=_range([one.threads for one in quiet]),
        cpu_s_per_s=used,
        frames=int(last.get("frames_out", 0)),
        dropped=int(last.get("frames_dropped", 0)),
        reconnects=int(last.get("reconnects", 0)),
        exposure=judge_outputs(clip, [*files, *heard], slack_frames=20),
        segments=len(files),
        not_recovered=_not_recovered(files, folder / "password.txt", folder),
        exit_code=exit_code,
    )


def _other_size(clip: CodedClip, rate_hz: int, folder: Path) -> Path:
    height, width = (round(side * _OTHER_SIZE_RATIO / 2) * 2 for side in clip.size_hw)
    return write_resized_clip(folder / "other.mp4", clip.path, (height, width), rate_hz=rate_hz)


def _range(values: Sequence[int]) -> tuple[int, int]:
    return min(values), max(values)


def _config(folder: Path, args: argparse.Namespace) -> Path:
    path = folder / "camera.yaml"
    side = f"detector: {{long_side_px: {args.detector_px}}}\n" if args.detector_px else ""
    path.write_text(
        "keylog: {seal: false}\n"
        f"cover: {{look_back_frames: {_LOOK_BACK_FRAMES}, extend_before_s: 0.5, "
        "extend_after_s: 2.0}\n"
        "video: {crf: 24, preset: ultrafast, keyframe_interval_s: 1.0}\n"
        f"{side}live: {{open_timeout_s: 5, read_timeout_s: 2}}\n",
        encoding="utf-8",
    )
    return path


def _report(figures: SoakFigures) -> None:
    print(describe_system().line())
    rows = [
        ["fault", "seconds to the next frame: median / longest", "times"],
    ]
    for name in dict.fromkeys(name for name, _ in figures.faults):
        took = [seconds for other, seconds in figures.faults if other == name]
        rows.append([name, f"{statistics.median(took):.2f} / {max(took):.2f}", str(len(took))])
    print(markdown_table(rows[0], rows[1:]))
    exposure = figures.exposure
    print(
        f"{figures.minutes:g} minutes, {figures.frames} frames, {figures.dropped} dropped, "
        f"{figures.reconnects} reconnects; memory {figures.rss_start_mb:.0f} -> "
        f"{figures.rss_end_mb:.0f} MB (most {figures.rss_most_mb:.0f}), descriptors "
        f"{figures.descriptors}, threads {figures.threads}, "
        f"{figures.cpu_s_per_s:.2f} CPU seconds a second; {figures.segments} segments, "
        f"{exposure.frames} frames decoded, {exposure.faces} comparisons, "
        f"{len(exposure.exposed)} exposed, most alike {exposure.max_correlation:.2f}"
    )
    for text in (*exposure.exposed[:20], *figures.missed()):
        print(f"missed: {text}")


def make_parser() -> argparse.ArgumentParser:
    """The options of a soak."""
    parser = argparse.ArgumentParser(prog="benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--every", type=float, default=30.0, help="seconds between two faults")
    parser.add_argument(
        "--warm-up", type=float, default=_WARM_UP_S, help="seconds before the first"
    )
    parser.add_argument("--segment-s", type=float, default=60.0, help="length of a segment")
    parser.add_argument("--size", default="1280x720", help="of the picture")
    parser.add_argument("--rate", type=int, default=25, help="frames a second")
    parser.add_argument("--frames", type=int, default=1000, help="length of the camera's clip")
    parser.add_argument("--detector-px", type=int, default=0, help="detector's input, 0: chosen")
    parser.add_argument("--shared", type=Path, default=DEFAULT_SHARED, help="where the judges are")
    parser.add_argument("--json", type=Path, metavar="F", help="write all figures there")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Soak; 0 when all bars are met, 1 when one is missed, 2 when it cannot run."""
    args = make_parser().parse_args(argv)
    width, height = (int(side) for side in args.size.split("x"))
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            path = write_coded_clip(
                folder / "clip.mp4", args.frames, size_hw=(height, width), rate_hz=args.rate
            )
            clip = CodedClip(path, load_teachers(args.shared).yunet, every=25)
            figures = soak(args, clip, folder)
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    _report(figures)
    if args.json:
        write_json(args.json, {**asdict(figures), "missed": figures.missed()})
    return 1 if figures.missed() else 0


if __name__ == "__main__":
    sys.exit(main())
