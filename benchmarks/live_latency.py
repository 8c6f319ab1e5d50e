"""Latency of a live camera, glass to glass, by the frame number in each picture.

The time between the moment at which the last packet of a picture leaves the camera's side of the
network, and the moments at which we publish it and a viewer has decoded it. Also: how soon a stall
is noticed, and how soon a server that was started again is back on the air.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import av
import numpy as np

from benchmarks.clips import BenchmarkError
from benchmarks.live_camera import Camera, free_port
from benchmarks.live_clip import read_code, write_coded_clip
from benchmarks.live_proxy import RtspProxy
from benchmarks.live_service import LiveService, anonymize_service
from benchmarks.live_tap import TransportTap
from benchmarks.report import markdown_table, write_json
from benchmarks.system_info import describe_system

__all__ = ["LatencyFigures", "main"]

_PATIENCE_S: Final = 60.0
_READ_TIMEOUT_S: Final = 2.0
_BAR_P95_S: Final = 0.3
_BAR_BACK_S: Final = 2.0


class _Viewer:
    """Decodes MPEG-TS over UDP and notes which picture could be seen when: number, pts, time."""

    def __init__(self, port: int) -> None:
        self._url = f"udp://127.0.0.1:{port}?fifo_size=20000&overrun_nonfatal=1"
        self.seen: list[tuple[int, int, float]] = []
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                self._watch()
            except av.FFmpegError:
                continue

    def _watch(self) -> None:
        options = {"fflags": "nobuffer", "flags": "low_delay", "probesize": "65536"}
        with av.open(self._url, options=options, timeout=(5.0, 5.0)) as container:
            stream = container.streams.video[0]
            stream.thread_count = 1
            for packet in container.demux(stream):
                for frame in packet.decode():
                    seen_s = time.monotonic()
                    code = read_code(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8))
                    if code is not None and frame.pts is not None:
                        self.seen.append((code, frame.pts, seen_s))
                if self._ended.is_set():
                    return

    def stop(self) -> None:
        """End it."""
        self._ended.set()
        self._thread.join(10)


@dataclass(frozen=True, slots=True)
class LatencyFigures:
    """What was measured.

    Attributes:
        frames: pictures whose way was timed.
        dropped: frames that the job dropped.
        published_s: p50, p95 and p99 until the last packet of the picture was published.
        glass_s: the same until the viewer had decoded it.
        own_s: the same as the job itself reports it, from arrival to coded picture.
        cpu_s_per_s: processor seconds of the job a second.
        cores: of this machine.
        read_timeout_s: configured time-out.
        stall_noticed_s: from the last picture until the job said that the camera is away.
        back_s: from a restarted server's answer until the next frame was put out.
    """

    frames: int
    dropped: int
    published_s: tuple[float, float, float]
    glass_s: tuple[float, float, float]
    own_s: tuple[float, float, float]
    cpu_s_per_s: float
    cores: int
    read_timeout_s: float
    stall_noticed_s: list[float]
    back_s: list[float]

    def missed(self) -> list[str]:
        """The bars that were missed."""
        stall_s, back_s = max(self.stall_noticed_s, default=0), max(self.back_s, default=0)
        bars = (
            (self.dropped == 0, f"{self.dropped} frames dropped"),
            (self.published_s[1] <= _BAR_P95_S, f"p95 {self.published_s[1] * 1e3:.0f} ms"),
            (stall_s <= 2 * self.read_timeout_s, f"a stall was noticed after {stall_s:.1f} s"),
            (back_s <= _BAR_BACK_S, f"back in service after {back_s:.1f} s"),
        )
        return [text for is_met, text in bars if not is_met]


def _quantiles(values: Sequence[float]) -> tuple[float, float, float]:
    if not values:
        raise BenchmarkError("no picture was seen")
    p50, p95, p99 = (float(value) for value in np.percentile(values, (50, 95, 99)))
    return p50, p95, p99


def _start(folder: Path, camera_url: str, out_port: int, args: argparse.Namespace) -> LiveService:
    config = folder / "camera.yaml"
    config.write_text(
        f"keylog: {{seal: false}}\ncover: {{look_back_frames: {args.look_back}}}\n"
        "video: {crf: 24, preset: ultrafast, keyframe_interval_s: 1.0}\n"
        f"live: {{open_timeout_s: 5, read_timeout_s: {_READ_TIMEOUT_S}}}\n"
        f"engine: {{workers: {args.workers}}}\n",
        encoding="utf-8",
    )
    outs = [f"udp://127.0.0.1:{out_port}?pkt_size=1316"]
    keylog = str(folder / "camera.vskl")
    return anonymize_service(camera_url, outs, folder, "--config", str(config), "--keylog", keylog)


def _measure(args: argparse.Namespace, clip: Path, folder: Path) -> LatencyFigures:
    port = free_port()
    viewer = _Viewer(port)
    with Camera(clip) as camera, RtspProxy(camera.port) as proxy, TransportTap(port) as tap:
        url = f"rtsp://127.0.0.1:{proxy.port}/camera"
        with _start(folder, url, tap.port, args) as service:
            service.wait_for_frames(50, _PATIENCE_S)
            connection, before = proxy.connections, service.camera() or {}
            cpu_s, start_s = service.cpu_s(), time.monotonic()
            first = len(viewer.seen)
            time.sleep(args.seconds)
            used = (service.cpu_s() - cpu_s) / (time.monotonic() - start_s)
            after = service.camera() or {}
            seen = viewer.seen[first:]
            if proxy.connections != connection:
                raise BenchmarkError("the connection was lost while measuring: use a longer clip")
            stalls, backs = _recoveries(service, camera, proxy, args.repeats)
            service.stop()
    viewer.stop()
    ways = [
        (came_s - sent_s, seen_s - sent_s)
        for code, pts, seen_s in seen
        if (sent_s := proxy.sent_s.get((connection, code))) is not None
        and (came_s := tap.came_s.get(pts)) is not None
    ]
    own = after["latency_ms"]
    return LatencyFigures(
        frames=len(ways),
        dropped=int(after["frames_dropped"]) - int(before["frames_dropped"]),
        published_s=_quantiles([one for one, _ in ways]),
        glass_s=_quantiles([one for _, one in ways]),
        own_s=(own["p50"] / 1e3, own["p95"] / 1e3, own["p99"] / 1e3),
        cpu_s_per_s=used,
        cores=os.cpu_count() or 1,
        read_timeout_s=_READ_TIMEOUT_S,
        stall_noticed_s=stalls,
        back_s=backs,
    )


def _recoveries(
    service: LiveService, camera: Camera, proxy: RtspProxy, repeats: int
) -> tuple[list[float], list[float]]:
    """Stall and kill the server some times."""
    stalls, backs = [], []
    for _ in range(repeats):
        camera.stall()
        last_s = max(proxy.sent_s.values())
        service.wait(lambda now: now["state"] == "reconnecting", _PATIENCE_S)
        stalls.append(round(time.monotonic() - last_s, 2))
        camera.resume()
        service.wait_for_frames(25, _PATIENCE_S)
        camera.kill()
        service.wait(lambda now: now["state"] == "reconnecting", _PATIENCE_S)
        # Long enough for the waits between two attempts to have grown.
        time.sleep(8)
        camera.start()
        backs.append(round(service.wait_until_back(_PATIENCE_S), 2))
        service.wait_for_frames(25, _PATIENCE_S)
    return stalls, backs


def _ms(values: tuple[float, float, float]) -> str:
    return " / ".join(f"{value * 1e3:.0f}" for value in values)


def _report(figures: LatencyFigures, args: argparse.Namespace) -> None:
    print(describe_system().line())
    free = figures.cores - figures.cpu_s_per_s
    rows = [
        ["pictures timed / dropped", f"{figures.frames} / {figures.dropped}"],
        ["camera to published packet, p50 / p95 / p99 ms", _ms(figures.published_s)],
        ["camera to viewer's decoded picture, ms", _ms(figures.glass_s)],
        ["arrival to coded picture, as the job reports it, ms", _ms(figures.own_s)],
        ["CPU seconds a second", f"{figures.cpu_s_per_s:.2f} of {figures.cores} ({free:.2f} left)"],
    ]
    if figures.stall_noticed_s:
        median_s, longest_s = statistics.median(figures.back_s), max(figures.back_s)
        rows += [
            [
                f"stall noticed (time-out {_READ_TIMEOUT_S:g} s)",
                f"{max(figures.stall_noticed_s)} s",
            ],
            ["back after a restart, median / longest", f"{median_s:.2f} / {longest_s:.2f} s"],
        ]
    title = f"{args.size} at {args.rate} fps, one face, look-back {args.look_back} frames"
    print(markdown_table([title, "measured"], rows))
    for text in figures.missed():
        print(f"missed: {text}")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; 0 when all bars are met, 1 when one is missed, 2 when it cannot run."""
    parser = argparse.ArgumentParser(prog="benchmarks.live_latency", description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of measuring latency")
    parser.add_argument("--size", default="1280x720")
    parser.add_argument("--rate", type=int, default=25)
    parser.add_argument("--look-back", type=int, default=3, help="frames")
    parser.add_argument("--workers", type=int, default=0, help="threads of the networks, 0: chosen")
    parser.add_argument("--repeats", type=int, default=3, help="stalls and restarts")
    parser.add_argument("--json", type=Path, metavar="F", help="write all figures there")
    args = parser.parse_args(argv)
    width, height = (int(side) for side in args.size.split("x"))
    count = round((args.seconds + 60) * args.rate)
    try:
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch)
            size_hw = (height, width)
            clip = folder / "clip.mp4"
            write_coded_clip(clip, count, size_hw=size_hw, rate_hz=args.rate)
            figures = _measure(args, clip, folder)
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    _report(figures, args)
    if args.json:
        write_json(args.json, {**asdict(figures), "missed": figures.missed()})
    return 1 if figures.missed() else 0


if __name__ == "__main__":
    sys.exit(main())
