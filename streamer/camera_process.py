"""CameraProcess: the supervisor's end of a camera, which lives in a process of its own."""

from __future__ import annotations

import contextlib
import logging
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import IO, Final

from streamer.backoff import Backoff, BackoffOptions
from streamer.camera_link import encode_command, read_reply
from streamer.camera_snapshot import CameraSnapshot
from streamer.camera_status import CameraStatus
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
        self._command, self._now = tuple(command), now
        restart = spec.restart
        self._backoff = Backoff(
            BackoffOptions(first_s=restart.first_wait_s, longest_s=restart.longest_wait_s)
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._snapshot: CameraSnapshot = CameraStatus(spec.name).snapshot()
        self._preview: bytes | None = None
        self._preview_came = threading.Condition(self._lock)
        self._heard_s = self._started_s = now()
        self._start_again_s: float | None = None
        self._is_stopping = False
        self.restarts = 0

    @property
    def name(self) -> str:
        """The camera's."""
        return self.spec.name

    @property
    def pid(self) -> int | None:
        """Of its process, None while there is none."""
        return None if self._process is None else self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    def start(self) -> None:
        """Start the process."""
        self._start_again_s = None
        self._started_s = self._heard_s = self._now()
        # A session of its own: Ctrl-C on the terminal is the supervisor's to pass on.
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        self._process = process
        if process.stdout is not None:
            threading.Thread(
                target=self._listen, args=(process.stdout,), name=f"link {self.name}", daemon=True
            ).start()
        self._send(self.spec.to_json().encode() + b"\n")

    def _send(self, line: bytes) -> None:
        process = self._process
        if process is not None and process.stdin is not None:
            # A process that has just ended is found by `poll`.
            with contextlib.suppress(OSError, ValueError):
                process.stdin.write(line)
                process.stdin.flush()

    def _listen(self, replies: IO[bytes]) -> None:
        with replies:
            for line in replies:
                reply = read_reply(line)
                with self._lock:
                    self._heard_s = self._now()
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
        self._send(encode_command("preview"))
        with self._lock:
            self._preview_came.wait_for(lambda: self._preview is not None, _PREVIEW_TIMEOUT_S)
            return self._preview

    def poll(self) -> None:
        """Look after the process: kill it when it hangs, start it again when it has ended."""
        restart, now_s = self.spec.restart, self._now()
        process = self._process
        if process is None:
            if self._start_again_s is not None and now_s >= self._start_again_s:
                self.restarts += 1
                self.start()
            return
        code = process.poll()
        if code is None:
            if now_s - self._heard_s > restart.hang_after_s or self._snapshot.is_stuck:
                self.kill()
            elif now_s - self._started_s > restart.reset_after_s:
                self._backoff.reset()
            return
        self._forget()
        if self._is_stopping:
            return
        self._note_end(code)
        wants = restart.policy == "always" or (restart.policy == "on-failure" and code != 0)
        if wants:
            self._start_again_s = now_s + self._backoff.next_wait_s()

    def _note_end(self, code: int) -> None:
        how = f"was ended by signal {-code}" if code < 0 else f"ended with exit code {code}"
        with self._lock:
            known = self._snapshot
            reason = known.reason if known.state == "failed" and code > 0 else f"its process {how}"
            state = known.state if code == 0 else "failed"
            self._snapshot = replace(known, state=state, reason=reason)
        _log.warning("camera %s: its process %s", self.name, how, extra={"camera": self.name})

    def _forget(self) -> None:
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()

    def stop(self) -> None:
        """Ask the process to finish its files and end; `poll` tells when it has."""
        self._is_stopping = True
        self._start_again_s = None
        self._send(encode_command("stop"))

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
