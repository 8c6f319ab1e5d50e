"""Metrics and health, read back with Prometheus' own parser."""

from __future__ import annotations

from dataclasses import replace

import pytest
from prometheus_client.parser import text_string_to_metric_families

from engines.shared_batch import BatchCounts
from streamer.blender import BlendResult
from streamer.camera_board import CameraBoard
from streamer.camera_snapshot import CameraSnapshot, CameraState, SinkHealth
from streamer.camera_status import CameraStatus
from streamer.engine_use import EngineUse
from streamer.health import liveness, readiness
from streamer.metrics import Metrics
from tests.factories import make_frame
from tests.media import anonymized


class _Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def _put_out(status: CameraStatus, latency_s: float = 0.2) -> None:
    frame = anonymized(make_frame(size_hw=(32, 32)))
    status.arrived()
    status.put_out(BlendResult(frame, frozenset({1}), frozenset({2, 3}), {}), latency_s)


def _values(board: CameraBoard) -> dict[tuple[str, tuple[str, ...]], float]:
    text = Metrics(board, wall=lambda: 1.7e9).text().decode()
    return {
        (sample.name, tuple(sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class _Restarted(CameraStatus):
    """A camera whose process was started again, as its supervisor tells it."""

    def snapshot(self) -> CameraSnapshot:
        return replace(super().snapshot(), restarts=1)


def test_everything_that_happened_is_in_the_metrics() -> None:
    board, status = CameraBoard(), _Restarted('odd "name"\\')
    board.add(status)
    for latency_s in (0.1, 0.2, 99.0):
        _put_out(status, latency_s)
    status.totals(dropped=4, key_log_bytes=1000)
    status.reconnected()
    status.engine_failed("broken")
    status.guard_rejected(2)
    status.queues({"detect": 3})
    status.sink("rtsp", SinkHealth("down", 7, 8, 9))
    found, camera = _values(board), status.name
    expected = {
        "frames_in_total": 3, "frames_out_total": 3, "frames_dropped_total": 4,
        "faces_replaced_total": 3, "faces_covered_total": 6, "guard_rejections_total": 2,
        "engine_errors_total": 1, "reconnects_total": 1, "restarts_total": 1,
        "key_log_bytes_total": 1000, "latency_seconds_count": 3, "camera_stuck": 0,
    }  # fmt: skip
    for name, value in expected.items():
        assert found[f"veilstream_{name}", (camera,)] == value, name
    assert found["veilstream_latency_seconds_bucket", (camera, "0.2")] == 2
    assert found["veilstream_latency_seconds_bucket", (camera, "+Inf")] == 3
    assert found["veilstream_queue_depth", (camera, "detect")] == 3
    assert found["veilstream_camera_state", (camera, "live")] == 1
    assert found["veilstream_camera_state", (camera, "failed")] == 0
    sink = (camera, "rtsp")
    assert [found[f"veilstream_sink_{x}", sink] for x in ("up", "packets_total")] == [0, 7]
    assert found["veilstream_sink_dropped_total", sink] == 8
    assert found["veilstream_sink_reconnects_total", sink] == 9


def test_each_camera_has_its_label() -> None:
    board = CameraBoard()
    for name in ("a", "b"):
        board.add(CameraStatus(name))
    found = _values(board)
    assert {labels for name, labels in found if name == "veilstream_fps"} == {("a",), ("b",)}


def test_what_shared_networks_were_asked() -> None:
    assert not [name for name, _ in _values(CameraBoard()) if "engine_calls" in name]
    use = EngineUse({"detector 3": BatchCounts(calls=9, runs=4, failures=1, oldest_s=0.0)}, 2)
    found, network = _values(CameraBoard(engines=lambda: use)), ("detector 3",)
    assert found["veilstream_engine_calls_total", network] == 9
    assert found["veilstream_engine_runs_total", network] == 4
    assert found["veilstream_engine_run_failures_total", network] == 1
    assert found["veilstream_engine_restarts_total", ()] == 2


def test_a_lost_camera_does_not_make_the_process_unhealthy() -> None:
    status = CameraStatus("yard")
    status.state("reconnecting", "no answer")
    assert liveness([status.snapshot()]).is_good
    verdict = readiness([status.snapshot()])
    assert not verdict.is_good
    assert verdict.reasons == ("yard: reconnecting (no answer)",)


def test_a_hanging_job_does() -> None:
    clock = _Clock()
    status = CameraStatus("yard", now=clock)
    for _ in range(40):
        clock.now_s += 1
        status.arrived()
    verdict = liveness([status.snapshot()])
    assert not verdict.is_good
    assert "yard" in verdict.reasons[0]


def test_a_camera_is_ready_while_it_delivers() -> None:
    clock = _Clock()
    status = CameraStatus("yard", now=clock)
    assert not readiness([]).is_good
    status.arrived()
    assert readiness([status.snapshot()]).reasons == ("yard: nothing put out yet",)
    _put_out(status)
    assert readiness([status.snapshot()]).is_good
    clock.now_s += 11
    assert readiness([status.snapshot()]).reasons == ("yard: nothing put out for 11 s",)


@pytest.mark.parametrize("state", ["failed", "stopped"])
def test_an_ended_camera_is_not_ready(state: CameraState) -> None:
    status = CameraStatus("yard")
    status.state(state)
    assert not readiness([status.snapshot()]).is_good
