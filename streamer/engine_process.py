"""EngineProcess: the supervisor's end of the engine server, which is a process of its own."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from engines.shared_batch import BatchCounts
from streamer.child_process import ChildProcess
from streamer.engine_use import EngineUse
from streamer.site import RestartConfig

__all__ = ["EngineProcess"]

_log = logging.getLogger(__name__)

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
