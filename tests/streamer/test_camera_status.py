"""CameraStatus: counters, states and charts, with a clock of our own."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import cast

import cv2
import numpy as np
import pytest

from streamer.blender import AnonymizedFrame, BlendResult
from streamer.camera_board import CameraBoard
from streamer.camera_history import CameraHistory
from streamer.camera_snapshot import CameraSnapshot, SinkHealth
from streamer.camera_status import CameraStatus
from streamer.latency import BUCKETS_S, LatencyHistogram
from streamer.media_info import Notices
from streamer.preview import preview_jpeg
from tests.factories import make_frame
from tests.media import anonymized


class _Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def _result(replaced: int = 1, filled: int = 0) -> BlendResult:
    frame = anonymized(make_frame(size_hw=(32, 32)))
    tracks = frozenset(range(replaced)), frozenset(range(10, 10 + filled))
    return BlendResult(frame, *tracks, {})


def _status(clock: _Clock | None = None) -> CameraStatus:
    return CameraStatus("yard", now=clock or _Clock(), wall=lambda: 1.7e9)


def test_frames_and_faces_are_counted() -> None:
    status = _status()
    status.arrived()
    status.arrived()
    status.put_out(_result(2, 1), 0.1)
    found = status.snapshot()
    assert (found.frames_in, found.frames_out) == (2, 1)
    assert (found.faces_replaced, found.faces_covered) == (2, 1)
    assert found.latency.count == 1


def test_only_anonymised_frames_can_be_shown() -> None:
    status = _status()
    raw = cast(BlendResult, SimpleNamespace(frame=make_frame(), replaced=(), filled=()))
    with pytest.raises(TypeError):
        status.put_out(raw, 0.1)
    assert status.latest is None


def test_a_frame_makes_a_camera_live_and_a_loss_ends_that() -> None:
    clock = _Clock()
    status = _status(clock)
    assert status.snapshot().state == "connecting"
    status.arrived()
    assert status.snapshot().state == "live"
    clock.now_s += 5
    status.state("reconnecting", "rtsp://user:secret@192.0.2.1/x: no answer")
    found = status.snapshot()
    assert (found.state, found.state_age_s) == ("reconnecting", 0.0)
    assert "secret" not in found.reason
    status.arrived()
    assert (status.snapshot().state, status.snapshot().reason) == ("live", "")


def test_a_stopped_camera_is_not_made_live_by_a_late_frame() -> None:
    status = _status()
    status.state("stopped")
    status.arrived()
    assert status.snapshot().state == "stopped"


def test_errors_are_redacted_folded_and_bounded() -> None:
    status = _status()
    for _ in range(3):
        status.error("rtsp://user:secret@192.0.2.1/x: no answer")
    for number in range(100):
        status.error(f"error {number}")
    status.error("error 99")
    errors = status.snapshot().errors
    assert len(errors) == 20
    assert (errors[0].text, errors[0].count) == ("error 99", 2)
    assert "secret" not in str(errors)


def test_totals_are_those_of_the_job() -> None:
    status = _status()
    status.totals(dropped=5, key_log_bytes=100)
    status.totals(dropped=7, key_log_bytes=110)
    found = status.snapshot()
    assert (found.frames_dropped, found.key_log_bytes) == (7, 110)


def test_a_job_that_gives_nothing_out_is_stuck() -> None:
    clock = _Clock()
    status = _status(clock)
    for _ in range(40):
        clock.now_s += 1
        status.arrived()
    assert status.snapshot().is_stuck
    status.put_out(_result(), 0.1)
    assert not status.snapshot().is_stuck


def test_a_silent_camera_is_not_a_stuck_job() -> None:
    clock = _Clock()
    status = _status(clock)
    status.arrived()
    status.put_out(_result(), 0.1)
    clock.now_s += 1000
    assert not status.snapshot().is_stuck
    assert status.snapshot().silence_s == 1000


def test_the_rate_is_that_of_the_last_seconds() -> None:
    clock = _Clock()
    status = _status(clock)
    for _ in range(250):
        clock.now_s += 0.04
        status.put_out(_result(), 0.2)
    assert status.snapshot().fps == pytest.approx(25, rel=0.05)
    clock.now_s += 60
    assert status.snapshot().fps == 0


def test_history_is_bounded_also_after_a_month_of_silence() -> None:
    history = CameraHistory(0.0)
    history.add(1.0, 0.5)
    points = history.points(30 * 86400.0)
    assert len(points) <= 150
    assert all(point.fps == 0 for point in points)


@pytest.mark.parametrize(("ratio", "low", "high"), [(0.5, 0.09, 0.11), (0.95, 0.4, 0.5)])
def test_quantiles_lie_in_the_right_bucket(ratio: float, low: float, high: float) -> None:
    histogram = LatencyHistogram()
    for _ in range(90):
        histogram.add(0.1)
    for _ in range(10):
        histogram.add(0.45)
    assert low <= histogram.snapshot().quantile_s(ratio) <= high


def test_an_empty_and_an_overflowing_histogram_have_quantiles() -> None:
    histogram = LatencyHistogram()
    assert histogram.snapshot().quantile_s(0.95) == 0
    histogram.add(1e6)
    assert histogram.snapshot().quantile_s(0.95) == BUCKETS_S[-1]
    assert histogram.snapshot().cumulative()[-1] == (float("inf"), 1)


def test_the_board_keeps_the_order_and_replaces_by_name() -> None:
    board = CameraBoard()
    for name in ("b", "a"):
        board.add(CameraStatus(name))
    again = CameraStatus("b")
    board.add(again)
    assert [camera.name for camera in board.snapshots()] == ["b", "a"]
    assert board.get("b") is again
    board.remove("b")
    board.remove("b")
    assert board.get("b") is None


def test_a_snapshot_survives_json() -> None:
    status = _status()
    status.arrived()
    status.put_out(_result(), 0.1)
    status.sink("rtsp", SinkHealth("down", 5, 1, 2, "refused"))
    status.error("bad")
    snapshot = status.snapshot()
    assert CameraSnapshot.from_dict(json.loads(json.dumps(snapshot.to_dict()))) == snapshot
    with pytest.raises(ValueError, match="name"):
        CameraSnapshot.from_dict({})


def test_the_preview_is_a_small_picture_of_the_anonymised_frame() -> None:
    status = _status()
    assert status.preview_jpeg() is None
    dark = anonymized(make_frame(size_hw=(720, 1280), value=128))
    status.put_out(BlendResult(dark, frozenset(), frozenset(), {}), 0.1)
    data = status.preview_jpeg()
    assert data is not None
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (360, 640, 3)
    assert abs(float(picture.mean()) - 130) < 3


def test_the_preview_takes_no_source_frame() -> None:
    with pytest.raises(TypeError):
        preview_jpeg(cast(AnonymizedFrame, make_frame()))


def test_notices_of_a_job_without_end_are_bounded_and_all_heard() -> None:
    heard: list[str] = []
    notices = Notices(heard.append)
    for number in range(2000):
        notices.add(f"lost packet {number}")
    notices.add("lost packet 1999")
    assert len(notices) == 500
    assert list(notices)[-1] == "lost packet 1999"
    assert len(heard) == 2001
