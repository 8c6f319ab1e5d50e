"""EngineServer: networks that several processes share, each loaded once.

Each camera is a process of its own (docs/decisions/0026), but with its own copy of each network,
and on a GPU with a context of its own, many cameras do not fit. Here they share them: calls that
wait for the same network are run together.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from engines.cores import ON_CORES
from engines.errors import EngineError, EngineLoadError
from engines.loader import load_engine
from engines.manifest import ModelManifest
from engines.protocols import Engine
from engines.shared_batch import BatchCounts, Batcher
from engines.shared_wire import (
    WireError,
    manifest_from,
    receive,
    receive_memory,
    send,
    specs_to,
)

__all__ = ["EngineServer"]

_LOG = logging.getLogger(__name__)
_BACKLOG: Final = 64
# Where a GPU computes, one run after the other; what waits meanwhile is taken together.
_DEVICE_WORKERS: Final = 1


class EngineServer:
    """Serves networks at a Unix socket, a thread for each connection.

    Whoever may open the socket may name files to load: keep it in a folder of one's own.

    Args:
        path: the socket; must not exist.
        workers: runs at the same time of one network on a CPU, each on one thread.
        load: loads a network; of a test.

    Raises:
        OSError: the socket cannot be made.
    """

    def __init__(
        self, path: Path, *, workers: int = 0, load: Callable[..., Engine] = load_engine
    ) -> None:
        self._path, self._load = path, load
        self._workers = workers or os.cpu_count() or 1
        self._batchers: dict[str, Batcher] = {}
        self._loading: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._links: set[socket.socket] = set()
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._socket.bind(str(path))
        self._socket.listen(_BACKLOG)

    def serve(self) -> None:
        """Answer until `close`."""
        while True:
            try:
                link, _ = self._socket.accept()
            except OSError:
                return
            with self._lock:
                self._links.add(link)
            threading.Thread(target=self._talk, args=(link,), daemon=True).start()

    def close(self) -> None:
        """Hang up and release the networks; a run that goes on is waited for."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._path.unlink(missing_ok=True)
        with self._lock:
            links, batchers = list(self._links), list(self._batchers.values())
            self._batchers.clear()
        for link in links:
            with suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        for batcher in batchers:
            batcher.close()

    def counts(self) -> dict[str, BatchCounts]:
        """What each network was asked, by name and version."""
        with self._lock:
            batchers = list(self._batchers.values())
        return {one.engine.describe().model: one.counts() for one in batchers}

    def _talk(self, link: socket.socket) -> None:
        memory = None
        try:
            with link:
                memory = receive_memory(link)
                while True:
                    message = receive(link)
                    if "load" in message:
                        send(link, self._opened(message["load"]))
                        continue
                    batcher = self._found(str(message.get("infer")))
                    feeds = memory.views(message.get("inputs", ()))
                    try:
                        outputs = batcher.infer(feeds)
                    except EngineError as exc:
                        send(link, {"error": str(exc)})
                        continue
                    del feeds
                    send(link, {"outputs": memory.put(outputs)})
        except WireError as exc:
            _LOG.debug("a connection ended: %s", exc)
        except (LookupError, TypeError, ValueError) as exc:
            _LOG.warning("a connection that talks nonsense was closed: %r", exc)
        finally:
            if memory is not None:
                memory.close()
            with self._lock:
                self._links.discard(link)

    def _opened(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Load what is not loaded yet; what went wrong is for whoever asked."""
        key = json.dumps(wanted, sort_keys=True)
        with self._lock:
            lock = self._loading.setdefault(key, threading.Lock())
        with lock:  # others may load other networks meanwhile
            batcher = self._batchers.get(key)
            if batcher is None:
                try:
                    batcher = self._start(wanted)
                except EngineLoadError as exc:
                    return {"refused": exc.reason, "path": str(exc.model_path)}
                with self._lock:
                    self._batchers[key] = batcher
        engine = batcher.engine
        return {
            "key": key,
            "inputs": specs_to(engine.inputs),
            "outputs": specs_to(engine.outputs),
            "info": asdict(engine.describe()),
        }

    def _start(self, wanted: Mapping[str, Any]) -> Batcher:
        manifest: ModelManifest = manifest_from(wanted["manifest"])
        cache = wanted["cache_folder"]
        engine = self._load(
            manifest,
            provider=wanted["provider"],
            threads=1,
            cache_folder=None if cache is None else Path(cache),
            precision=wanted["precision"],
            quantised=wanted["quantised"],
        )
        is_on_cores = engine.describe().provider in ON_CORES
        return Batcher(engine, workers=self._workers if is_on_cores else _DEVICE_WORKERS)

    def _found(self, key: str) -> Batcher:
        with self._lock:
            if key not in self._batchers:
                raise WireError("a network that was not loaded")
            return self._batchers[key]
