"""Many cameras under one supervisor: those that fail do not touch the others."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest
import yaml

from benchmarks.command_line import write_password
from benchmarks.live_camera import Camera, free_port
from benchmarks.live_clip import CodedClip
from benchmarks.live_exposure import judge_outputs
from benchmarks.live_run import recordings
from benchmarks.live_service import LiveService
from benchmarks.processes import children_of
from tests.live_faults import PATIENCE_S, leaves_nothing_behind

pytestmark = [
    pytest.mark.network,
    pytest.mark.slow,
    pytest.mark.soak,
    pytest.mark.timeout(900),
]


def _site(folder: Path, port: int, good: int) -> Path:
    """Some cameras that work, one that does not answer, and one whose disk is not there."""
    cameras = {}
    for number in range(good):
        (folder / f"cam{number}").mkdir()
        url = f"rtsp://viewer:hunter2@127.0.0.1:{port}/camera"
        cameras[f"cam{number}"] = {"url": url, "out": [f"{folder}/cam{number}/out.mkv"]}
    silent = f"rtsp://viewer:hunter2@127.0.0.1:{free_port()}/camera"
    cameras["silent"] = {"url": silent, "out": [f"{folder}/silent.mkv"]}
    no_disk = f"rtsp://127.0.0.1:{port}/camera"
    cameras["no-disk"] = {"url": no_disk, "out": [f"{folder}/missing/out.mkv"]}
    password = str(write_password(folder))
    for camera in cameras.values():
        camera["password_file"] = password
    site = {
        "cameras": cameras,
        "settings": {
            "detector": {"long_side_px": 320},
            "engine": {"provider": "cpu", "workers": 1},
            "live": {"open_timeout_s": 5.0, "read_timeout_s": 3.0},
        },
        "restart": {"first_wait_s": 0.5, "longest_wait_s": 5.0},
    }
    path = folder / "site.yaml"
    path.write_text(yaml.safe_dump(site), encoding="utf-8")
    return path


def _wait_for_frames(service: LiveService, names: list[str], count: int) -> None:
    """Wait until each of these cameras has put out so many more frames."""
    had, end_s = dict[str, int](), time.monotonic() + 2 * PATIENCE_S
    late = set(names)
    while late:
        for name, camera in service.cameras().items():
            # The count of a process that was started again begins anew.
            had[name] = min(had.get(name, camera["frames_out"]), camera["frames_out"])
            if camera["state"] == "live" and camera["frames_out"] >= had[name] + count:
                late.discard(name)
        assert time.monotonic() < end_s, late
        time.sleep(0.2)


def _wait_for_restart(service: LiveService, names: list[str], before: dict[str, int]) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while all(service.cameras()[name]["restarts"] == before[name] for name in names):
        assert time.monotonic() < end_s
        time.sleep(0.2)


@pytest.mark.parametrize("good", [2, 6])
def test_failing_cameras_do_not_touch_the_others(
    good: int, slow_clip: CodedClip, tmp_path: Path
) -> None:
    names = [f"cam{number}" for number in range(good)]
    with Camera(slow_clip.path) as camera:
        site = _site(tmp_path, camera.port, good)
        with LiveService(["run", "--config", site], tmp_path) as service:
            _wait_for_frames(service, names, 5)
            cameras = service.cameras()
            assert len(cameras) == good + 2
            for name in ("silent", "no-disk"):
                assert cameras[name]["state"] != "live"
                assert cameras[name]["frames_out"] == 0
            with leaves_nothing_behind(service.pid):
                # A process that is killed is started again; the others do not notice.
                before = {name: cameras[name]["restarts"] for name in names}
                os.kill(children_of(service.pid)[0], signal.SIGKILL)
                _wait_for_restart(service, names, before)
                _wait_for_frames(service, names, 5)
                after = service.cameras()
                assert sum(after[n]["restarts"] - before[n] for n in names) == 1
                # And a server that goes away takes all cameras with it, and brings them back.
                camera.kill()
                time.sleep(3)
                camera.start()
                _wait_for_frames(service, names, 5)
            assert service.stop() == 0
    said = service.said.read_text(encoding="utf-8")
    assert "hunter2" not in said
    for name in names:
        found = judge_outputs(slow_clip, recordings(tmp_path / name))
        assert found.unplayable == ()
        assert found.frames >= 5
        assert found.exposed == ()
