"""Metrics: the cameras of a process in Prometheus' text format."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from engines.shared_batch import BatchCounts
from streamer.camera_board import CameraBoard
from streamer.camera_snapshot import STATES, CameraSnapshot, SinkHealth
from streamer.engine_use import EngineUse

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

# Name, help and value of each counter.
_COUNTERS: Final[tuple[tuple[str, str, Callable[[CameraSnapshot], float]], ...]] = (
    ("frames_in", "Frames that came from the camera.", lambda c: c.frames_in),
    ("frames_out", "Anonymised frames put out.", lambda c: c.frames_out),
    ("frames_dropped", "Frames dropped before detection.", lambda c: c.frames_dropped),
    ("faces_replaced", "Faces that got a synthetic one.", lambda c: c.faces_replaced),
    ("faces_covered", "Faces covered instead.", lambda c: c.faces_covered),
    (
        "guard_rejections",
        "Synthetic faces refused because the person could still be seen in them.",
        lambda c: c.guard_rejections,
    ),
    ("engine_errors", "Frames for which a network failed.", lambda c: c.engine_errors),
    ("reconnects", "Lost connections that came back.", lambda c: c.reconnects),
    ("restarts", "Jobs started again after a failure.", lambda c: c.restarts),
    ("key_log_bytes", "Bytes of key log written.", lambda c: c.key_log_bytes),
)
_SINK_COUNTERS: Final[tuple[tuple[str, str, Callable[[SinkHealth], float]], ...]] = (
    ("sink_packets", "Packets that an output took.", lambda s: s.packets_sent),
    ("sink_dropped", "Packets that an output could not take in time.", lambda s: s.dropped),
    ("sink_reconnects", "How often an output came back.", lambda s: s.reconnects),
)

_ENGINE_COUNTERS: Final[tuple[tuple[str, str, Callable[[BatchCounts], float]], ...]] = (
    ("engine_calls", "Calls of a shared network.", lambda n: n.calls),
    ("engine_runs", "Its runs; fewer than calls when several were taken together.",
     lambda n: n.runs),
    ("engine_run_failures", "Its runs that failed.", lambda n: n.failures),
)  # fmt: skip


class _BoardCollector(Collector):
    """Reads the board each time somebody asks."""

    def __init__(self, board: CameraBoard, start_unix_s: float) -> None:
        self._board = board
        self._start_unix_s = start_unix_s

    def collect(self) -> Iterator[Metric]:
        cameras = self._board.snapshots()
        start = GaugeMetricFamily("veilstream_start_time_seconds", "When this process began.")
        start.add_metric([], self._start_unix_s)
        yield start
        yield from _counters(cameras)
        yield from _gauges(cameras)
        yield _latency(cameras)
        yield from _sinks(cameras)
        yield from _engines(self._board.engines())


def _counters(cameras: Sequence[CameraSnapshot]) -> Iterator[Metric]:
    for name, text, value in _COUNTERS:
        family = CounterMetricFamily(f"veilstream_{name}", text, labels=["camera"])
        for camera in cameras:
            family.add_metric([camera.name], value(camera))
        yield family


def _gauges(cameras: Sequence[CameraSnapshot]) -> Iterator[Metric]:
    state = GaugeMetricFamily(
        "veilstream_camera_state", "1 for the state a camera is in.", labels=["camera", "state"]
    )
    fps = GaugeMetricFamily(
        "veilstream_fps", "Frames put out a second, over the last seconds.", labels=["camera"]
    )
    silence = GaugeMetricFamily(
        "veilstream_seconds_since_output", "Time since the last frame put out.", labels=["camera"]
    )
    stuck = GaugeMetricFamily(
        "veilstream_camera_stuck", "1 when frames come in and none go out.", labels=["camera"]
    )
    queue = GaugeMetricFamily(
        "veilstream_queue_depth", "Frames that wait, by place.", labels=["camera", "queue"]
    )
    for camera in cameras:
        for name in STATES:
            state.add_metric([camera.name, name], float(name == camera.state))
        fps.add_metric([camera.name], camera.fps)
        if camera.silence_s is not None:
            silence.add_metric([camera.name], camera.silence_s)
        stuck.add_metric([camera.name], float(camera.is_stuck))
        for place, depth in camera.queues.items():
            queue.add_metric([camera.name, place], depth)
    yield from (state, fps, silence, stuck, queue)


def _latency(cameras: Sequence[CameraSnapshot]) -> Metric:
    family = HistogramMetricFamily(
        "veilstream_latency_seconds",
        "From the arrival of a frame to its leaving.",
        labels=["camera"],
    )
    for camera in cameras:
        buckets = [
            ("+Inf" if limit_s == float("inf") else repr(limit_s), float(count))
            for limit_s, count in camera.latency.cumulative()
        ]
        family.add_metric([camera.name], buckets=buckets, sum_value=camera.latency.sum_s)
    return family


def _sinks(cameras: Sequence[CameraSnapshot]) -> Iterator[Metric]:
    labels = ["camera", "sink"]
    up = GaugeMetricFamily("veilstream_sink_up", "1 while an output takes packets.", labels=labels)
    for camera in cameras:
        for name, sink in camera.sinks.items():
            up.add_metric([camera.name, name], float(sink.state == "up"))
    yield up
    for name, text, value in _SINK_COUNTERS:
        family = CounterMetricFamily(f"veilstream_{name}", text, labels=labels)
        for camera in cameras:
            for sink_name, sink in camera.sinks.items():
                family.add_metric([camera.name, sink_name], value(sink))
        yield family


def _engines(use: EngineUse | None) -> Iterator[Metric]:
    if use is None:
        return
    for name, text, value in _ENGINE_COUNTERS:
        family = CounterMetricFamily(f"veilstream_{name}", text, labels=["network"])
        for network, counts in use.networks.items():
            family.add_metric([network], value(counts))
        yield family
    yield CounterMetricFamily(
        "veilstream_engine_restarts",
        "How often the process of the shared networks was started again.",
        value=use.restarts,
    )


class Metrics:
    """The metrics of a board. Thread-safe.

    Args:
        board: the cameras.
        wall: seconds since 1970 UTC.
    """

    def __init__(self, board: CameraBoard, *, wall: Callable[[], float] = time.time) -> None:
        # A registry of our own: the library's global one is shared by everything in the process.
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_BoardCollector(board, wall()))

    def text(self) -> bytes:
        """Everything in the text format that `CONTENT_TYPE` names."""
        return generate_latest(self._registry)
