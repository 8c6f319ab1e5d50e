"""Live faults that need a job of their own: credentials, UDP, overload."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from benchmarks.live_camera import Camera
from benchmarks.live_clip import CodedClip
from benchmarks.live_exposure import judge_outputs
from benchmarks.live_proxy import RtspProxy
from benchmarks.live_run import LiveRun, live_config, recordings
from engines.errors import SourceOpenError
from streamer.camera_snapshot import CameraSnapshot, SinkHealth
from tests.live_faults import BACK_S, PATIENCE_S, RATE_HZ, come_back, leaves_nothing_behind, within
from tests.tls_front import write_certificate

pytestmark = [pytest.mark.network, pytest.mark.slow]

_CONFIG = {"detector": {"long_side_px": 320}}
_REFUSED_WAIT_S = 2.0


def test_a_wrong_password_ends_at_once_and_is_not_shown(
    coded_clip: CodedClip, tmp_path: Path
) -> None:
    with Camera(coded_clip.path, "viewer", "correct") as camera:
        url = f"rtsp://viewer:hunter2@127.0.0.1:{camera.port}/camera"
        with LiveRun(url, [tmp_path / "out.mkv"], live_config()) as run:
            run.join(PATIENCE_S)
        assert isinstance(run.error, SourceOpenError)
        assert "hunter2" not in str(run.error)
        assert recordings(tmp_path) == []
        url = f"rtsp://viewer:correct@127.0.0.1:{camera.port}/camera"
        with LiveRun(url, [tmp_path / "out.mkv"], live_config()) as run:
            run.wait_for_frames(5, PATIENCE_S)
    found = judge_outputs(coded_clip, recordings(tmp_path))
    assert found.frames >= 5
    assert found.exposed == ()


@pytest.mark.soak
def test_a_password_that_is_changed_is_survived_until_it_is_right_again(
    coded_clip: CodedClip, tmp_path: Path
) -> None:
    config = live_config({**_CONFIG, "live": {"refused_wait_s": _REFUSED_WAIT_S}})
    with Camera(coded_clip.path, "viewer", "hunter2") as camera:
        url = f"rtsp://viewer:hunter2@127.0.0.1:{camera.port}/camera"
        with LiveRun(url, [tmp_path / "out.mkv"], config) as run:
            run.wait_for_frames(10, PATIENCE_S)
            with leaves_nothing_behind():
                camera.kill()
                camera.login = ("viewer", "changed")
                camera.start()
                run.wait(lambda now: "Unauthorized" in now.reason, PATIENCE_S)
                camera.kill()
                camera.login = ("viewer", "hunter2")
                camera.start()
                # A camera that refuses is asked again after this wait, or a fifth more.
                come_back(run, BACK_S + 1.2 * _REFUSED_WAIT_S)
        assert run.error is None
        assert run.report is not None
        assert "hunter2" not in str(run.report.warnings)
    found = judge_outputs(coded_clip, recordings(tmp_path), slack_frames=20)
    assert found.frames > 10
    assert found.exposed == ()


@pytest.mark.soak
@pytest.mark.parametrize(("loss", "reorder"), [(0.02, 0.05), (0.1, 0.05)])
def test_udp_may_lose_and_reorder(
    coded_clip: CodedClip, tmp_path: Path, loss: float, reorder: float
) -> None:
    config = live_config({**_CONFIG, "live": {"rtsp_transport": "udp", "longest_wait_s": 1.0}})
    with Camera(coded_clip.path) as camera, RtspProxy(camera.port) as proxy:
        url = f"rtsp://127.0.0.1:{proxy.port}/camera"
        with LiveRun(url, [tmp_path / "out.mkv"], config) as run:
            run.wait_for_frames(10, PATIENCE_S)
            with leaves_nothing_behind():
                proxy.faults.loss_ratio, proxy.faults.reorder_ratio = loss, reorder
                run.wait_for_frames(RATE_HZ * 8, PATIENCE_S)
                # A camera that is killed says nothing over UDP: only the silence tells.
                camera.kill()
                run.wait(lambda now: now.state == "reconnecting", PATIENCE_S)
                camera.start()
                come_back(run)
    found = judge_outputs(coded_clip, recordings(tmp_path), slack_frames=20)
    assert found.frames >= RATE_HZ * 8
    assert found.exposed == ()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate that nobody has signed, with its key."""
    return write_certificate(tmp_path_factory.mktemp("tls") / "camera.pem")


def test_a_certificate_that_nobody_trusts_is_refused(
    coded_clip: CodedClip, certificate: Path, tmp_path: Path
) -> None:
    with Camera(coded_clip.path, certificate=certificate) as camera:
        url = f"rtsps://127.0.0.1:{camera.port}/camera"
        with LiveRun(url, [tmp_path / "out.mkv"], live_config()) as run:
            run.join(PATIENCE_S)
        assert isinstance(run.error, SourceOpenError)
        assert recordings(tmp_path) == []
        trusting = live_config({"live": {"ca_file": certificate}})
        with LiveRun(url, [tmp_path / "out.mkv"], trusting) as run:
            run.wait_for_frames(5, PATIENCE_S)
    found = judge_outputs(coded_clip, recordings(tmp_path))
    assert found.frames >= 5
    assert found.exposed == ()


@pytest.mark.soak
def test_a_camera_with_another_certificate_is_not_believed(
    coded_clip: CodedClip, certificate: Path, tmp_path: Path
) -> None:
    """Somebody takes the camera's place while the job runs; then the camera is back."""
    other = write_certificate(tmp_path / "other.pem")
    out = tmp_path / "out"
    out.mkdir()
    config = live_config({**_CONFIG, "live": {"ca_file": certificate, "longest_wait_s": 1.0}})
    with Camera(coded_clip.path, certificate=certificate) as camera:
        url = f"rtsps://127.0.0.1:{camera.port}/camera"
        with LiveRun(url, [out / "out.mkv"], config) as run:
            run.wait_for_frames(10, PATIENCE_S)
            with leaves_nothing_behind():
                camera.kill()
                camera.certificate = other
                camera.start()
                run.wait(lambda now: now.state == "reconnecting", PATIENCE_S)
                seen = run.snapshot().frames_in
                time.sleep(3.0)
                assert run.snapshot().frames_in == seen
                camera.kill()
                camera.certificate = certificate
                camera.start()
                come_back(run)
        assert run.error is None
    found = judge_outputs(coded_clip, recordings(out), slack_frames=20)
    assert found.frames > 10
    assert found.exposed == ()


def test_a_server_that_we_publish_to_may_go_and_come_back(
    coded_clip: CodedClip, tmp_path: Path
) -> None:
    """What was published before and after is judged, and what was recorded meanwhile."""
    config = live_config({**_CONFIG, "output": {"timeout_s": 3.0}})
    far = Camera(tmp_path / "before.ts", records=True)
    with Camera(coded_clip.path) as camera, far:
        url = f"rtsp://127.0.0.1:{camera.port}/camera"
        published = f"rtsp://127.0.0.1:{far.port}/camera"
        with LiveRun(url, [tmp_path / "out.mkv", published], config) as run:
            run.wait(lambda now: _sink(now, "rtsp").packets_sent > RATE_HZ, PATIENCE_S)
            with leaves_nothing_behind():
                far.kill()
                run.wait(lambda now: _sink(now, "rtsp").state == "down", PATIENCE_S)
                run.wait_for_frames(RATE_HZ, PATIENCE_S)
                far.video = tmp_path / "after.ts"
                far.start()
                with within(BACK_S):
                    run.wait(lambda now: _sink(now, "rtsp").state == "up", PATIENCE_S)
                sent = _sink(run.snapshot(), "rtsp").packets_sent
                run.wait(lambda now: _sink(now, "rtsp").packets_sent > sent + RATE_HZ, PATIENCE_S)
        assert run.error is None
        far.kill()
    found = judge_outputs(coded_clip, recordings(tmp_path))
    assert found.files == 3
    assert found.unplayable == ()
    assert found.frames > 3 * RATE_HZ
    assert found.exposed == ()


def _sink(snapshot: CameraSnapshot, scheme: str) -> SinkHealth:
    """The first output of a kind; one that takes nothing while there is none yet."""
    found = [sink for name, sink in snapshot.sinks.items() if name.startswith(scheme)]
    return found[0] if found else SinkHealth("down")


def test_a_machine_that_is_too_slow_drops_frames_and_shows_nobody(
    coded_clip: CodedClip, tmp_path: Path
) -> None:
    """Eight threads that only compute: what is late is dropped, whole, before detection."""
    ended = threading.Event()

    def burn() -> None:
        while not ended.is_set():
            sum(range(1000))

    threads = [threading.Thread(target=burn, daemon=True) for _ in range(8)]
    with Camera(coded_clip.path) as camera:
        url = f"rtsp://127.0.0.1:{camera.port}/camera"
        with LiveRun(url, [tmp_path / "out.mkv"], live_config()) as run:
            run.wait_for_frames(3, PATIENCE_S)
            for thread in threads:
                thread.start()
            with leaves_nothing_behind():
                run.wait(lambda now: now.frames_dropped > 5, PATIENCE_S)
                ended.set()
                come_back(run)
    found = judge_outputs(coded_clip, recordings(tmp_path))
    assert found.frames > 0
    assert found.exposed == ()
