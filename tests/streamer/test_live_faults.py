"""What cameras and networks do to a job that runs on: it comes back, and shows nobody.

One job runs through all faults of this module. Whatever it has put out is judged when it ends: each
picture is compared, by the frame number in it, with the faces that the camera saw there.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from benchmarks.live_camera import Camera
from benchmarks.live_clip import CodedClip, write_resized_clip
from benchmarks.live_exposure import judge_outputs
from benchmarks.live_proxy import RtspProxy
from benchmarks.live_run import LiveRun, live_config, recordings
from benchmarks.video_io import decode
from tests.live_faults import PATIENCE_S, RATE_HZ, come_back, leaves_nothing_behind, within

pytestmark = [pytest.mark.network, pytest.mark.slow]

READ_TIMEOUT_S = 2.0
_HOUR = 3600 * 90000


@dataclass(frozen=True, slots=True)
class Service:
    """A job and the things that can be made to fail."""

    camera: Camera
    proxy: RtspProxy
    run: LiveRun
    folder: Path

    def lose(self) -> None:
        """Wait until the job says that the camera is away."""
        self.run.wait(lambda now: now.state == "reconnecting", PATIENCE_S)

    def come_back(self) -> None:
        """Five more frames must go out, the first new one of them in the stated time."""
        come_back(self.run)


def _require_sane_times(path: Path) -> None:
    times = [frame.time_s for frame in decode(path)]
    known = [time_s for time_s in times if time_s is not None]
    assert len(known) == len(times)
    assert all(later > earlier for earlier, later in pairwise(known))
    # Hours that a clock jumps do not become hours of nothing in the recording.
    assert not known or known[-1] - known[0] < 1800


@pytest.fixture(scope="module")
def service(coded_clip: CodedClip, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("faults")
    config = live_config(
        {
            "detector": {"long_side_px": 320},
            "live": {"read_timeout_s": READ_TIMEOUT_S, "longest_wait_s": 1.0},
        }
    )
    with Camera(coded_clip.path) as camera, RtspProxy(camera.port) as proxy:
        url = f"rtsp://viewer:hunter2@127.0.0.1:{proxy.port}/camera"
        with LiveRun(url, [folder / "out.mkv"], config) as run:
            run.wait_for_frames(10, PATIENCE_S)
            with leaves_nothing_behind():
                yield Service(camera, proxy, run, folder)
            assert run.is_running, run.error
        assert run.error is None
        assert run.report is not None
        assert "hunter2" not in str(run.report.warnings)
    files = recordings(folder)
    for path in files:
        _require_sane_times(path)
    found = judge_outputs(coded_clip, files, slack_frames=20)
    assert found.unplayable == ()
    assert found.frames >= 20
    assert found.faces > found.frames / 2
    assert found.exposed == ()


@pytest.fixture(autouse=True)
def _flat(service: Service) -> Iterator[None]:
    with leaves_nothing_behind():
        yield


def test_a_killed_server_is_reconnected_to(service: Service) -> None:
    service.camera.kill()
    service.lose()
    service.camera.start()
    before = service.run.snapshot().reconnects
    service.come_back()
    assert service.run.snapshot().reconnects == before + 1


@pytest.mark.soak
def test_a_stall_is_noticed_and_survived(service: Service) -> None:
    service.camera.stall()
    with within(READ_TIMEOUT_S):
        service.lose()
    service.camera.resume()
    service.come_back()


@pytest.mark.soak
def test_a_network_that_swallows_everything_is_noticed(service: Service) -> None:
    service.proxy.faults.is_stalled = True
    with within(READ_TIMEOUT_S):
        service.lose()
    service.proxy.faults.is_stalled = False
    service.come_back()


@pytest.mark.soak
def test_a_server_that_hangs_up_on_everybody_is_tried_again(service: Service) -> None:
    service.proxy.faults.is_refusing = True
    service.proxy.cut()
    service.lose()
    time.sleep(3)
    service.proxy.faults.is_refusing = False
    service.come_back()


@pytest.mark.parametrize("ratio", ["corrupt_ratio", "header_ratio"])
def test_damaged_pictures_are_survived(service: Service, ratio: str) -> None:
    setattr(service.proxy.faults, ratio, 0.2)
    service.run.wait_for_frames(RATE_HZ * 2, PATIENCE_S)
    setattr(service.proxy.faults, ratio, 0.0)
    service.come_back()


@pytest.mark.soak
def test_lost_packets_are_survived(service: Service) -> None:
    service.proxy.faults.loss_ratio = 0.1
    service.run.wait_for_frames(RATE_HZ * 2, PATIENCE_S)
    service.proxy.faults.loss_ratio = 0.0
    service.come_back()


@pytest.mark.parametrize("shift", [_HOUR, -2 * _HOUR])
def test_a_clock_that_jumps_by_an_hour_is_followed(service: Service, shift: int) -> None:
    service.proxy.faults.time_shift += shift
    service.come_back()
    assert service.run.snapshot().state == "live"


@pytest.mark.soak
def test_time_stamps_that_wrap_are_followed(service: Service) -> None:
    """RTP counts 32 bits: from any start, four quarters of that pass the end once."""
    for _ in range(4):
        service.proxy.faults.time_shift += 1 << 30
        service.come_back()


def test_the_clock_of_the_machine_may_be_set_back(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - 86400.0)
    service.come_back()
    monkeypatch.setattr(time, "time", lambda: real() + 86400.0)
    service.come_back()


@pytest.mark.soak
def test_another_size_is_followed(service: Service, coded_clip: CodedClip, tmp_path: Path) -> None:
    other = write_resized_clip(tmp_path / "other.mp4", coded_clip.path, (360, 640), rate_hz=RATE_HZ)
    for video in (other, coded_clip.path):
        service.camera.kill()
        service.lose()
        service.camera.video = video
        service.camera.start()
        service.come_back()
