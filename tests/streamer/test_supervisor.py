"""The supervisor with real processes that play cameras: they fail, hang and are changed."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from benchmarks.command_line import REPOSITORY
from streamer.camera_board import CameraBoard
from streamer.camera_link import encode_preview, encode_status
from streamer.camera_process import CameraProcess
from streamer.camera_status import CameraStatus
from streamer.interrupt import StopRequest
from streamer.sd_notify import SystemdNotifier
from streamer.shared_engines import SharedEngines
from streamer.site import load_site
from streamer.supervisor import Supervisor
from tests.live_media import wait_until

pytestmark = pytest.mark.slow  # processes take their time on a busy machine

# Says how it is, obeys `stop` and `preview`, and does what its address asks for.
_CAMERA = """
import json, sys, time, threading
spec = json.loads(sys.stdin.readline())
status, preview = (bytes.fromhex(text) for text in sys.argv[1:])
def say(line):
    sys.stdout.buffer.write(line.replace(b"NAME", spec["name"].encode()))
    sys.stdout.buffer.flush()
say(status)
if "crash" in spec["url"]:
    sys.exit(3)
if "ends" in spec["url"]:
    sys.exit(0)
if "hang" in spec["url"]:
    time.sleep(1000)
for line in sys.stdin:
    command = json.loads(line)["t"]
    if command == "preview":
        say(preview)
    else:
        break
"""


def _command() -> list[str]:
    status = CameraStatus("NAME")
    status.state("live")
    texts = (encode_status(status.snapshot()), encode_preview(b"jpeg"))
    return [sys.executable, "-S", "-c", _CAMERA, *(text.hex() for text in texts)]


def _site(folder: Path, urls: dict[str, str], *, hang_after_s: float = 60) -> Path:
    path = folder / "site.yaml"
    lines = [f"restart: {{first_wait_s: 0.05, longest_wait_s: 0.1, hang_after_s: {hang_after_s}}}"]
    lines.append("settings: {keylog: {irreversible: true}}")
    lines.append("cameras:")
    lines += [f"  {name}: {{url: '{url}', out: [{name}.mkv]}}" for name, url in urls.items()]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


class _Run:
    """A supervisor on a thread."""

    def __init__(self, path: Path, notifier: SystemdNotifier | None = None) -> None:
        self.engines = SharedEngines([sys.executable, str(REPOSITORY / "run_stream.py"), "engines"])
        self.board = CameraBoard(engines=self.engines.use)
        self.supervisor = Supervisor(
            path, load_site(path), _command(), board=self.board,
            notifier=notifier or SystemdNotifier({}), engines=self.engines,
            sleep=lambda wait_s: time.sleep(0.01),
        )  # fmt: skip
        self.stop = StopRequest()
        self.thread = threading.Thread(target=self.supervisor.run, args=(self.stop,), daemon=True)

    def camera(self, name: str) -> CameraProcess:
        wait_until(lambda: self.board.get(name) is not None)
        found = self.board.get(name)
        assert isinstance(found, CameraProcess)
        return found

    def is_live(self, name: str) -> bool:
        entry = self.board.get(name)
        return entry is not None and entry.snapshot().state == "live"

    def pid(self, name: str) -> int:
        wait_until(lambda: self.is_live(name))
        pid = self.camera(name).pid
        assert pid is not None
        return pid


@contextmanager
def _running(path: Path, notifier: SystemdNotifier | None = None) -> Iterator[_Run]:
    run = _Run(path, notifier)
    run.thread.start()
    try:
        yield run
    finally:
        run.stop.set()
        run.thread.join(timeout=20)
        assert not run.thread.is_alive()


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_one_camera_s_failure_does_not_touch_the_others(tmp_path: Path) -> None:
    urls = {"good": "rtsp://a/", "bad": "rtsp://crash/"}
    with _running(_site(tmp_path, urls)) as run:
        pid = run.pid("good")
        wait_until(lambda: run.camera("bad").restarts >= 3)
        assert run.camera("good").pid == pid
        assert run.camera("good").restarts == 0
        wait_until(lambda: run.camera("bad").snapshot().state == "failed")
        assert "exit code 3" in run.camera("bad").snapshot().reason
        assert run.camera("good").preview_jpeg() == b"jpeg"
    assert not _exists(pid)


def test_a_killed_camera_comes_back(tmp_path: Path) -> None:
    with _running(_site(tmp_path, {"yard": "rtsp://a/"})) as run:
        pid = run.pid("yard")
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: run.camera("yard").restarts == 1)
        wait_until(lambda: run.is_live("yard"))
        assert run.camera("yard").pid != pid


def test_a_camera_that_says_nothing_is_killed_and_started_again(tmp_path: Path) -> None:
    with _running(_site(tmp_path, {"yard": "rtsp://hang/"}, hang_after_s=5)) as run:
        wait_until(lambda: run.camera("yard").restarts >= 1)


def test_a_reload_restarts_only_what_changed(tmp_path: Path) -> None:
    path = _site(tmp_path, {"a": "rtsp://a/", "b": "rtsp://b/", "c": "rtsp://c/"})
    with _running(path) as run:
        pids = {name: run.pid(name) for name in "abc"}
        _site(tmp_path, {"a": "rtsp://a/", "b": "rtsp://other/", "d": "rtsp://d/"})
        run.supervisor.ask_reload()
        wait_until(lambda: run.is_live("d"))
        wait_until(lambda: run.is_live("b") and run.camera("b").pid != pids["b"])
        assert run.camera("a").pid == pids["a"]
        assert run.board.get("c") is None
        wait_until(lambda: not _exists(pids["c"]))


def test_the_signal_for_a_reload_is_heard(tmp_path: Path) -> None:
    """The supervisor runs on the main thread here, which alone may take signals."""
    run = _Run(_site(tmp_path, {"old": "rtsp://a/"}))
    is_gone: list[bool] = []

    def change() -> None:
        try:
            run.pid("old")
            _site(tmp_path, {"new": "rtsp://b/"})
            os.kill(os.getpid(), signal.SIGHUP)
            wait_until(lambda: run.is_live("new"))
            is_gone.append(run.board.get("old") is None)
        finally:
            run.stop.set()

    changer = threading.Thread(target=change, daemon=True)
    changer.start()
    run.supervisor.run(run.stop)
    changer.join(timeout=20)
    assert is_gone == [True]


def test_a_broken_file_changes_nothing(tmp_path: Path) -> None:
    path = _site(tmp_path, {"a": "rtsp://a/"})
    with _running(path) as run:
        pid = run.pid("a")
        path.write_text("cameras: {a: {url: 5}}", encoding="utf-8")
        run.supervisor.ask_reload()
        time.sleep(0.2)
        assert run.camera("a").pid == pid


def test_a_job_that_is_done_is_started_again_or_not_by_its_policy(tmp_path: Path) -> None:
    path = _site(tmp_path, {"always": "rtsp://ends/", "failure": "rtsp://ends/x"})
    text = path.read_text(encoding="utf-8")
    text = text.replace("out: [failure.mkv]", "out: [failure.mkv], restart: {policy: on-failure}")
    path.write_text(text, encoding="utf-8")
    with _running(path) as run:
        wait_until(lambda: run.camera("always").restarts >= 2)
        assert run.camera("failure").restarts == 0


def _share(path: Path, *, shared: bool) -> None:
    text = path.read_text(encoding="utf-8").split("engines:")[0].rstrip()
    path.write_text(f"{text}\nengines: {{shared: {str(shared).lower()}}}", encoding="utf-8")


def test_shared_networks_come_back_and_no_camera_is_touched(tmp_path: Path) -> None:
    path = _site(tmp_path, {"a": "rtsp://a/"})
    _share(path, shared=True)
    with _running(path) as run:
        camera = run.pid("a")
        socket_path = run.camera("a").spec.config.engine.shared
        assert socket_path is not None
        assert socket_path.parent.stat().st_mode & 0o77 == 0
        wait_until(socket_path.exists)
        server = run.engines.pid
        assert server is not None
        os.kill(server, signal.SIGKILL)
        wait_until(lambda: run.engines.pid not in (None, server))
        use = run.board.engines()
        assert use is not None
        assert use.restarts == 1
        wait_until(lambda: _answers(socket_path))
        assert run.pid("a") == camera
        second = run.engines.pid
    assert second is not None
    wait_until(lambda: not _exists(second))
    assert not socket_path.parent.exists()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as link:
        return link.connect_ex(str(path)) == 0


def test_a_site_may_begin_and_cease_to_share(tmp_path: Path) -> None:
    path = _site(tmp_path, {"a": "rtsp://a/"})
    with _running(path) as run:
        pid = run.pid("a")
        assert run.board.engines() is None
        _share(path, shared=True)
        run.supervisor.ask_reload()
        wait_until(lambda: run.is_live("a") and run.camera("a").pid not in (None, pid))
        server, pid = run.engines.pid, run.pid("a")
        assert server is not None
        _share(path, shared=False)
        run.supervisor.ask_reload()
        wait_until(lambda: run.is_live("a") and run.camera("a").pid not in (None, pid))
        assert run.camera("a").spec.config.engine.shared is None
        wait_until(lambda: not _exists(server))


def test_systemd_hears_what_it_needs(tmp_path: Path) -> None:
    address = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as server:
        server.bind(str(address))
        server.settimeout(10)
        notifier = SystemdNotifier({"NOTIFY_SOCKET": str(address), "WATCHDOG_USEC": "100000"})
        with _running(_site(tmp_path, {"a": "rtsp://a/"}), notifier) as run:
            assert server.recv(100) == b"READY=1"
            assert server.recv(100) == b"WATCHDOG=1"
            run.supervisor.ask_reload()
            heard = [server.recv(200) for _ in range(4)]
            assert any(one.startswith(b"RELOADING=1\nMONOTONIC_USEC=") for one in heard)
            assert b"READY=1" in heard
        heard = []
        while b"STOPPING=1" not in heard:
            heard.append(server.recv(200))
