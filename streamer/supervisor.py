"""Supervisor: one process for each camera, so that no camera's failure touches another."""

from __future__ import annotations

import logging
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Final

from engines.errors import ConfigError
from streamer.camera_board import CameraBoard
from streamer.camera_process import CameraProcess
from streamer.interrupt import StopRequest
from streamer.sd_notify import SystemdNotifier
from streamer.shared_engines import SharedEngines
from streamer.site import CameraSpec, Site, load_site

__all__ = ["Supervisor"]

_log = logging.getLogger(__name__)

_TICK_S: Final = 0.2
_STATUS_EVERY_S: Final = 5.0
# For the processes to finish their files; those that are left are killed.
_STOP_TIMEOUT_S: Final = 30.0


class Supervisor:
    """Runs the cameras of a site until somebody asks to stop. One thread.

    Args:
        path: the site's file, read again on SIGHUP.
        site: what was read from it.
        command: starts the process of a camera.
        board: shows every camera to whoever watches.
        notifier: tells systemd.
        engines: runs the networks of all cameras where the site says so.
        now: monotonic clock in seconds.
        sleep: waits for some seconds.
    """

    def __init__(
        self,
        path: Path,
        site: Site,
        command: Sequence[str],
        *,
        board: CameraBoard,
        notifier: SystemdNotifier,
        engines: SharedEngines,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path, self._command = path, tuple(command)
        self._board, self._notifier, self._engines = board, notifier, engines
        self._now, self._sleep = now, sleep
        self._site = site
        self._wanted: dict[str, CameraSpec] = {}
        self._cameras: dict[str, CameraProcess] = {}
        self._leaving: list[tuple[CameraProcess, float]] = []
        self._reload = threading.Event()
        self._alive_s = self._told_s = now()

    def ask_reload(self, number: int = 0, frame: FrameType | None = None) -> None:
        """Read the site again soon; a signal handler."""
        self._reload.set()

    def run(self, stop: StopRequest) -> None:
        """Run until `stop` is set; then every camera finishes its files."""
        previous = None
        if threading.current_thread() is threading.main_thread():
            previous = signal.signal(signal.SIGHUP, self.ask_reload)
        try:
            self._wanted = self._engines.serve(self._site)
            self._start_missing()
            self._notifier.ready()
            while not stop.is_set():
                self._tick()
                self._sleep(_TICK_S)
            self._notifier.stopping()
            self._stop_all()
        finally:
            for camera in (*self._cameras.values(), *(one for one, _ in self._leaving)):
                camera.kill()
            self._engines.close()
            if previous is not None:
                signal.signal(signal.SIGHUP, previous)

    def _tick(self) -> None:
        if self._reload.is_set():
            self._reload.clear()
            self._read_again()
        self._engines.poll()
        self._poll()
        self._start_missing()
        now_s, interval_s = self._now(), self._notifier.interval_s
        if interval_s is not None and now_s - self._alive_s >= interval_s:
            self._alive_s = now_s
            self._notifier.alive()
        if now_s - self._told_s >= _STATUS_EVERY_S:
            self._told_s = now_s
            states = [camera.snapshot().state for camera in self._cameras.values()]
            self._notifier.status(f"{states.count('live')} of {len(states)} cameras live")

    def _poll(self) -> None:
        for camera in self._cameras.values():
            camera.poll()
        still = []
        for camera, since_s in self._leaving:
            camera.poll()
            if not camera.is_running:
                continue
            if self._now() - since_s > _STOP_TIMEOUT_S:
                camera.kill()
            still.append((camera, since_s))
        self._leaving = still

    def _start_missing(self) -> None:
        """Start what is wanted; a camera that changed only after its old process has ended."""
        busy = {camera.name for camera, _ in self._leaving}
        for name, spec in self._wanted.items():
            if name in self._cameras or name in busy:
                continue
            camera = CameraProcess(spec, self._command, now=self._now)
            camera.start()
            self._cameras[name] = camera
            self._board.add(camera)

    def _read_again(self) -> None:
        self._notifier.reloading(round(self._now() * 1e6))
        try:
            wanted = self._engines.serve(load_site(self._path))
        except ConfigError as exc:
            # Cameras that run must not suffer from a typing error.
            _log.error("the configuration was not taken over: %s", exc)
        else:
            changed = [
                name for name, camera in self._cameras.items() if wanted.get(name) != camera.spec
            ]
            for name in changed:
                self._leave(name)
            self._wanted = wanted
            _log.warning("configuration read again: %d cameras changed", len(changed))
        self._notifier.ready()

    def _leave(self, name: str) -> None:
        camera = self._cameras.pop(name)
        self._board.remove(name)
        camera.stop()
        self._leaving.append((camera, self._now()))

    def _stop_all(self) -> None:
        self._wanted = {}
        for name in list(self._cameras):
            self._leave(name)
        while self._leaving:
            self._poll()
            self._sleep(_TICK_S)
