"""ChildProcess: a process that the supervisor starts, watches and starts again."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from typing import IO, Final

from streamer.backoff import Backoff, BackoffOptions
from streamer.site import RestartConfig

__all__ = ["ChildProcess"]

_KILL_TIMEOUT_S: Final = 5.0


class ChildProcess:
    """One process, its link and when it is started again.

    `on_line` is called on a thread of its own, everything else belongs to the supervisor's.

    Args:
        name: for the thread that listens.
        command: starts it.
        first_line: what it reads first on its standard input.
        restart: when it is started again.
        on_line: is told each line that it says.
        now: monotonic clock in seconds.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        first_line: bytes,
        restart: RestartConfig,
        *,
        on_line: Callable[[bytes], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name, self._command, self._first_line = name, tuple(command), first_line
        self._restart, self._on_line, self._now = restart, on_line, now
        self._backoff = Backoff(
            BackoffOptions(first_s=restart.first_wait_s, longest_s=restart.longest_wait_s)
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._heard_s = self._started_s = now()
        self._start_again_s: float | None = None
        self._is_stopping = False
        self.restarts = 0

    @property
    def pid(self) -> int | None:
        """Of the process, None while there is none."""
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
                target=self._listen, args=(process.stdout,), name=f"link {self._name}", daemon=True
            ).start()
        self.send(self._first_line + b"\n")

    def send(self, line: bytes) -> None:
        """Say something to it."""
        process = self._process
        if process is not None and process.stdin is not None:
            # A process that has just ended is found by `poll`.
            with contextlib.suppress(OSError, ValueError):
                process.stdin.write(line)
                process.stdin.flush()

    def _listen(self, replies: IO[bytes]) -> None:
        with replies:
            for line in replies:
                self._heard_s = self._now()
                self._on_line(line)

    def poll(self, *, is_stuck: bool = False) -> int | None:
        """Kill it when it hangs, start it again when it has ended.

        Args:
            is_stuck: it talks but does nothing.

        Returns:
            Its exit code when it has just ended without being asked to.
        """
        restart, now_s = self._restart, self._now()
        process = self._process
        if process is None:
            if self._start_again_s is not None and now_s >= self._start_again_s:
                self.restarts += 1
                self.start()
            return None
        code = process.poll()
        if code is None:
            if now_s - self._heard_s > restart.hang_after_s or is_stuck:
                self.kill()
            elif now_s - self._started_s > restart.reset_after_s:
                self._backoff.reset()
            return None
        self._process = None
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        if self._is_stopping:
            return None
        wants = restart.policy == "always" or (restart.policy == "on-failure" and code != 0)
        if wants:
            self._start_again_s = now_s + self._backoff.next_wait_s()
        return code

    def stop(self, line: bytes) -> None:
        """Ask it to end, in its own words; `poll` finds out when it has."""
        self._is_stopping = True
        self._start_again_s = None
        self.send(line)

    def kill(self) -> None:
        """End it at once; `poll` starts it again."""
        if self._process is not None:
            self._process.kill()

    def end(self) -> None:
        """End it at once and for ever."""
        self.kill()
        process, self._process, self._start_again_s = self._process, None, None
        if process is not None:
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_KILL_TIMEOUT_S)
