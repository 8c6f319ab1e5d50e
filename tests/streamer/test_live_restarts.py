"""Jobs whose process ends, by a signal or a full disk: what they leave, and that they come back."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks.command_line import REPOSITORY, write_password
from benchmarks.live_camera import Camera
from benchmarks.live_clip import CodedClip
from benchmarks.live_exposure import judge_outputs
from benchmarks.live_run import recordings
from benchmarks.live_service import LiveService
from benchmarks.processes import children_of
from tests.live_faults import PATIENCE_S, fill, leaves_nothing_behind

pytestmark = [pytest.mark.network, pytest.mark.slow]

_LONGEST_WAIT_S = 2.0
_HANG_AFTER_S = 10.0
Cameras = dict[str, dict[str, Any]]


def _command(camera: Camera, out: Path, password: Path) -> list[str]:
    return [
        *(sys.executable, str(REPOSITORY / "run_stream.py"), "anonymize"),
        *(f"rtsp://127.0.0.1:{camera.port}/camera", "--out", str(out)),
        *("--config", "live-camera", "--password-file", str(password), "--quiet", "--overwrite"),
    ]


def _wait_for_bytes(folder: Path, count: int) -> None:
    end_s = time.monotonic() + PATIENCE_S
    while sum(path.stat().st_size for path in recordings(folder)) < count:
        assert time.monotonic() < end_s
        time.sleep(0.1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_signal_leaves_a_recording_that_plays(
    number: signal.Signals, coded_clip: CodedClip, tmp_path: Path
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    with Camera(coded_clip.path) as camera:
        command = _command(camera, folder / "out.mkv", write_password(tmp_path))
        with subprocess.Popen(command, env={**os.environ, "PYTHONWARNINGS": "default"}) as process:
            try:
                _wait_for_bytes(folder, 60_000)
                process.send_signal(number)
                code = process.wait(PATIENCE_S)
            finally:
                process.kill()
    assert code == (0 if number == signal.SIGTERM else -signal.SIGKILL)
    names = [path.name for path in recordings(folder)]
    assert names == ["out.mkv" if number == signal.SIGTERM else "out.partial.mkv"]
    found = judge_outputs(coded_clip, recordings(folder))
    assert found.frames > 5
    assert found.exposed == ()
    check = [sys.executable, str(REPOSITORY / "run_stream.py"), "inspect", "--unlock"]
    check += [*map(str, folder.glob("*.vskl")), "--password-file", str(tmp_path / "password.txt")]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 6), done.stderr
    if number == signal.SIGTERM:
        assert done.returncode == 0


class _Site:
    """Cameras under a supervisor, one in each folder; the first is the one that things happen to.

    Attributes:
        start_s: seconds from the command until all cameras were live.
    """

    def __init__(self, service: LiveService, folders: Mapping[str, Path]) -> None:
        self.service, self.folders = service, folders
        start_s = time.monotonic()
        self.wait(lambda now: all(self.is_live(now, name) for name in folders))
        self.start_s = time.monotonic() - start_s

    def is_live(self, cameras: Cameras, name: str) -> bool:
        """Whether frames come out of a camera's process."""
        camera = cameras.get(name)
        return camera is not None and camera["state"] == "live" and camera["frames_out"] > 0

    def wait(self, what: Callable[[Cameras], bool]) -> float:
        """Wait until something holds; gives the seconds that took."""
        start_s = time.monotonic()
        while not what(self.service.cameras()):
            assert time.monotonic() < start_s + 2 * PATIENCE_S, self.service.cameras()
            time.sleep(0.05)
        return time.monotonic() - start_s

    def require_back(self, further_s: float = 0.0) -> None:
        """The first camera must come back in the time of its start and its longest wait."""
        name = next(iter(self.folders))

        def is_back(cameras: Cameras) -> bool:
            return cameras[name]["restarts"] > 0 and self.is_live(cameras, name)

        took_s = self.wait(is_back)
        # A wait may be a fifth longer; what a start takes depends on how busy the machine is.
        assert took_s < 2 * self.start_s + 1.2 * _LONGEST_WAIT_S + further_s

    def require_running(self, name: str) -> None:
        """A camera must go on in the process that it was started in."""
        had = self.service.cameras()[name]["frames_out"]
        self.wait(lambda now: bool(now[name]["frames_out"] > had))
        assert self.service.cameras()[name]["restarts"] == 0

    def require_hidden(self, clip: CodedClip) -> None:
        """Everything that was recorded must show nobody."""
        for folder in self.folders.values():
            found = judge_outputs(clip, recordings(folder), slack_frames=20)
            assert found.frames >= 5
            assert found.exposed == ()


@contextmanager
def _site(
    clip: CodedClip, folder: Path, folders: Mapping[str, Path], *, shared: bool = False
) -> Iterator[_Site]:
    password = str(write_password(folder))
    with Camera(clip.path) as camera:
        url = f"rtsp://127.0.0.1:{camera.port}/camera"
        site = {
            "cameras": {
                name: {"url": url, "out": [f"{place}/out.mkv"], "password_file": password}
                for name, place in folders.items()
            },
            "settings": {
                "detector": {"long_side_px": 320},
                "engine": {"provider": "cpu", "workers": 1},
                "live": {"open_timeout_s": 5.0, "read_timeout_s": 3.0},
            },
            "engines": {"shared": shared},
            "restart": {
                "first_wait_s": 0.5,
                "longest_wait_s": _LONGEST_WAIT_S,
                "hang_after_s": _HANG_AFTER_S,
            },
        }
        path = folder / "site.yaml"
        path.write_text(yaml.safe_dump(site), encoding="utf-8")
        with LiveService(["run", "--config", path], folder) as service:
            yield _Site(service, folders)
            assert service.stop() == 0


def _child(pid: int, command: str = "camera") -> int:
    """The process of the camera that was started first, or that of the shared networks."""
    for child in children_of(pid):
        if command.encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
            return child
    raise AssertionError(f"no process of {command}")


@pytest.mark.soak
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP])
def test_a_camera_whose_process_ends_or_hangs_is_started_again(
    number: signal.Signals, slow_clip: CodedClip, tmp_path: Path
) -> None:
    folders = {"first": tmp_path / "first", "other": tmp_path / "other"}
    for folder in folders.values():
        folder.mkdir()
    with _site(slow_clip, tmp_path, folders) as site, leaves_nothing_behind(site.service.pid):
        os.kill(_child(site.service.pid), number)
        hangs_s = _HANG_AFTER_S if number == signal.SIGSTOP else 0.0
        site.require_back(hangs_s)
        site.require_running("other")
    site.require_hidden(slow_clip)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_cameras_wait_for_shared_networks_whose_process_ends(
    slow_clip: CodedClip, tmp_path: Path
) -> None:
    folders = {"first": tmp_path / "first", "other": tmp_path / "other"}
    for folder in folders.values():
        folder.mkdir()
    with _site(slow_clip, tmp_path, folders, shared=True) as site:
        with leaves_nothing_behind(site.service.pid):
            for _ in range(2):
                os.kill(_child(site.service.pid, "engines"), signal.SIGKILL)
                for name in folders:
                    site.require_running(name)
        assert all(one["engine_errors"] == 0 for one in site.service.cameras().values())
    site.require_hidden(slow_clip)


@pytest.mark.soak
@pytest.mark.timeout(900)
def test_a_camera_whose_disk_is_full_waits_until_there_is_room(
    slow_clip: CodedClip, small_disk: Path, tmp_path: Path
) -> None:
    """No picture goes out whose way back cannot be written; then it goes on by itself."""
    other = tmp_path / "other"
    other.mkdir()
    folders = {"first": small_disk, "other": other}
    with _site(slow_clip, tmp_path, folders) as site, leaves_nothing_behind(site.service.pid):
        ballast = fill(small_disk)
        site.wait(lambda now: now["first"]["state"] == "failed")
        site.require_running("other")
        assert not site.is_live(site.service.cameras(), "first")
        ballast.unlink()
        site.require_back()
        site.require_running("other")
    site.require_hidden(slow_clip)
