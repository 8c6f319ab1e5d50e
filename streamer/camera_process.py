"""CameraProcess: the supervisor's end of a camera, which lives in a process of its own."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from streamer.camera_link import encode_command, read_reply
from streamer.camera_snapshot import CameraSnapshot
from streamer.camera_status import CameraStatus
from streamer.child_process import ChildProcess
from streamer.site import CameraSpec

__all__ = ["CameraProcess"]

_log = logging.getLogger(__name__)

_PREVIEW_TIMEOUT_S: Final = 1.0


class CameraProcess:
    """Starts a camera's process, watches it, and starts it again by its policy.

    `poll`, `start`, `stop` and `kill` belong to the supervisor's thread; `snapshot` and
    `preview_jpeg` may be called from any.

    Args:
        spec: the camera.
        command: starts a process that reads the camera from its standard input.
        now: monotonic clock in seconds.
    """

    def __init__(
        self,
        spec: CameraSpec,
        command: Sequence[str],
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.spec = spec
        self._lock = threading.Lock()
        self._snapshot: CameraSnapshot = CameraStatus(spec.name).snapshot()
        self._preview: bytes | None = None
        self._preview_came = threading.Condition(self._lock)
        self._child = ChildProcess(
            spec.name, command, spec.to_json().encode(), spec.restart,
            on_line=self._hear, now=now,
        )  # fmt: skip

    @property
    def name(self) -> str:
        """The camera's."""
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """Of its process, None while there is none."""
        return self._child.pid

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._child.is_running

    @property
    def restarts(self) -> int:
        """How often it was started again."""
        return self._child.restarts

    def start(self) -> None:
        """Start the process."""
        self._child.start()

    def _hear(self, line: bytes) -> None:
        reply = read_reply(line)
        with self._lock:
            if isinstance(reply, CameraSnapshot):
                self._snapshot = reply
            elif isinstance(reply, bytes):
                self._preview = reply
                self._preview_came.notify_all()

    def snapshot(self) -> CameraSnapshot:
        """How the camera is; the last that was heard of it when its process has ended."""
        with self._lock:
            return replace(self._snapshot, restarts=self.restarts)

    def preview_jpeg(self) -> bytes | None:
        """The newest anonymised frame, asked from the process; None when it does not answer."""
        with self._lock:
            self._preview = None
        self._child.send(encode_command("preview"))
        with self._lock:
            self._preview_came.wait_for(lambda: self._preview is not None, _PREVIEW_TIMEOUT_S)
            return self._preview

    def poll(self) -> None:
        """Look after the process: kill it when it hangs, start it again when it has ended."""
        code = self._child.poll(is_stuck=self._snapshot.is_stuck)
        if code is None:
            return
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        with self._lock:
            known = self._snapshot
            reason = known.reason if known.state == "failed" and code > 0 else f"its process {how}"
            state = known.state if code == 0 else "failed"
            self._snapshot = replace(known, state=state, reason=reason)
        _log.warning("camera %s: its process %s", self.name, how, extra={"camera": self.name})

    def stop(self) -> None:
        """Ask the process to finish its files and end; `poll` tells when it has."""
        self._child.stop(encode_command("stop"))

    def kill(self) -> None:
        """End it at once."""
        self._child.kill()
