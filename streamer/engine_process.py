"""EngineProcess: the supervisor's end of the engine server, and that server's process."""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from engines.errors import ConfigError
from engines.shared_batch import BatchCounts
from engines.shared_server import EngineServer
from streamer.child_process import ChildProcess
from streamer.engine_use import EngineUse
from streamer.site import RestartConfig

__all__ = ["EngineProcess", "run_engines"]

_log = logging.getLogger(__name__)

_EVERY_S: Final = 1.0
# All cameras stand still without it.
_RESTART: Final = RestartConfig(first_wait_s=0.2, longest_wait_s=5.0, hang_after_s=30.0)


class EngineProcess:
    """Starts the engine server, watches it, and starts it again when it ends or hangs.

    `use` may be called from any thread, everything else belongs to the supervisor's.

    Args:
        socket: where it is to listen, in a folder that only this user may enter.
        command: starts a process that reads that from its standard input.
        workers: runs at the same time of one network on a CPU; 0: one per core.
        now: monotonic clock in seconds.
    """

    def __init__(
        self,
        socket: Path,
        command: Sequence[str],
        *,
        workers: int = 0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.socket = socket
        self._networks: dict[str, BatchCounts] = {}
        first_line = json.dumps({"socket": str(socket), "workers": workers}).encode()
        self._child = ChildProcess(
            "engines", command, first_line, _RESTART, on_line=self._hear, now=now
        )

    @property
    def pid(self) -> int | None:
        """Of its process, None while there is none."""
        return self._child.pid

    def start(self) -> None:
        """Start the process; cameras wait for its socket."""
        self._child.start()

    def _hear(self, line: bytes) -> None:
        try:
            said = json.loads(line)
            self._networks = {name: BatchCounts(**one) for name, one in said["networks"].items()}
        except (AttributeError, KeyError, TypeError, ValueError):
            _log.debug("the engine server said something odd")

    def use(self) -> EngineUse:
        """What it was asked."""
        return EngineUse(self._networks, self._child.restarts)

    def poll(self) -> None:
        """Kill it when a run hangs, start it again when it has ended."""
        oldest_s = max((one.oldest_s for one in self._networks.values()), default=0.0)
        is_stuck = oldest_s > _RESTART.hang_after_s
        if is_stuck:
            self._networks = {}
        code = self._child.poll(is_stuck=is_stuck)
        if code is not None:
            _log.warning("the engine server ended with %d and is started again", code)

    def close(self) -> None:
        """End it at once: it has nothing to finish."""
        self._child.end()


def run_engines() -> int:
    """Serve networks until standard input ends; returns the exit code.

    Raises:
        ConfigError: standard input does not say where, or the socket cannot be made.
    """
    commands = sys.stdin.buffer
    # Standard output belongs to the link; what libraries print goes to standard error.
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        said = json.loads(commands.readline())
        path, workers = Path(said["socket"]), int(said["workers"])
    except (KeyError, TypeError, ValueError):
        raise ConfigError("this command is started by `run`, which says what to do") from None
    path.unlink(missing_ok=True)  # left by one that was killed
    try:
        server = EngineServer(path, workers=workers)
    except OSError as exc:
        raise ConfigError(f"the engine server cannot listen: {exc.strerror or exc}") from None
    threading.Thread(target=server.serve, name="accept", daemon=True).start()
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(_EVERY_S):
            try:
                replies.write(_line(server.counts()))
                replies.flush()
            except OSError:
                return  # the supervisor has gone; the end of standard input says so, too

    threading.Thread(target=report, name="report", daemon=True).start()
    while commands.readline():
        pass
    ended.set()
    # A run that hangs must not keep the process.
    path.unlink(missing_ok=True)
    return 0


def _line(counts: Mapping[str, BatchCounts]) -> bytes:
    message: dict[str, Any] = {"networks": {name: asdict(one) for name, one in counts.items()}}
    return json.dumps(message).encode() + b"\n"
