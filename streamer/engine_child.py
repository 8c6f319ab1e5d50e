"""The process of the engine server: serves networks and tells the supervisor how they are."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Final

from engines.errors import ConfigError
from engines.shared_batch import BatchCounts
from engines.shared_server import EngineServer
from streamer.child_link import NOT_BY_HAND, take_standard_output

__all__ = ["run_engines"]

_EVERY_S: Final = 1.0


def run_engines() -> int:
    """Serve networks until standard input ends; returns the exit code.

    Raises:
        ConfigError: standard input does not say where, or the socket cannot be made.
    """
    commands, replies = sys.stdin.buffer, take_standard_output()
    try:
        said = json.loads(commands.readline())
        path, workers = Path(said["socket"]), int(said["workers"])
    except (KeyError, TypeError, ValueError):
        raise ConfigError(NOT_BY_HAND) from None
    path.unlink(missing_ok=True)  # left by one that was killed
    try:
        server = EngineServer(path, workers=workers)
    except OSError as exc:
        raise ConfigError(f"the engine server cannot listen: {exc.strerror or exc}") from None
    ended = threading.Event()

    def report() -> None:
        while not ended.wait(_EVERY_S):
            try:
                replies.write(_line(server.counts()))
                replies.flush()
            except OSError:
                return  # the supervisor has gone; the end of standard input says so, too

    for work in (server.serve, report):
        threading.Thread(target=work, name=work.__name__, daemon=True).start()
    while commands.readline():
        pass
    ended.set()
    # The server is not closed: a run that hangs must not keep the process.
    path.unlink(missing_ok=True)
    return 0


def _line(counts: Mapping[str, BatchCounts]) -> bytes:
    networks = {name: asdict(one) for name, one in counts.items()}
    return json.dumps({"networks": networks}).encode() + b"\n"
