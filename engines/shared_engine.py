"""SharedEngine: a network that runs in the engine server, behind the seam of all others."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from engines.arrays import AnyArray
from engines.errors import EngineLoadError, EngineRunError
from engines.feeds import check_feeds, smallest_feeds
from engines.manifest import ModelManifest
from engines.shared_wire import (
    SharedMemory,
    WireError,
    manifest_to,
    receive,
    send,
    send_memory,
    specs_from,
)
from engines.types import EngineInfo, TensorSpec

__all__ = ["SharedEngine"]

_LOG = logging.getLogger(__name__)
# Building a TensorRT engine takes minutes, a run does not.
_LOAD_TIMEOUT_S: Final = 1800.0
_RUN_TIMEOUT_S: Final = 30.0
_KNOCK_EVERY_S: Final = 0.1


class _Link:
    """One connection, with memory of its own; one call at a time."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._memory = SharedMemory.create()
        try:
            self._socket.connect(str(path))
            send_memory(self._socket, self._memory)
        except OSError as exc:
            self.close()
            raise WireError(f"nobody answers ({exc})") from exc
        except WireError:
            self.close()
            raise

    def load(self, wanted: Mapping[str, Any], model_path: Path) -> dict[str, Any]:
        """Ask for a network.

        Raises:
            EngineLoadError: the server cannot run it.
            WireError: the server is gone.
        """
        self._socket.settimeout(_LOAD_TIMEOUT_S)
        send(self._socket, {"load": wanted})
        answer = receive(self._socket)
        if "refused" in answer:
            raise EngineLoadError(Path(answer.get("path", model_path)), str(answer["refused"]))
        self._socket.settimeout(_RUN_TIMEOUT_S)
        return answer

    def infer(self, key: str, feeds: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Run a network.

        Raises:
            EngineRunError: the network failed.
            WireError: the server is gone.
        """
        send(self._socket, {"infer": key, "inputs": self._memory.put(feeds)})
        answer = receive(self._socket)
        if "error" in answer:
            raise EngineRunError(str(answer["error"]))
        views = self._memory.views(answer.get("outputs", ()))
        return {name: np.array(view) for name, view in views.items()}

    def close(self) -> None:
        self._socket.close()
        self._memory.close()


class SharedEngine:
    """A network in the engine server at a socket; may be called from several threads.

    A server that is gone is waited for: whoever looks after it starts it again.

    Args:
        manifest: which model.
        path: the server's socket.
        provider: as of `load_engine`.
        precision: as of `load_engine`.
        quantised: as of `load_engine`.
        cache_folder: as of `load_engine`.
        patience_s: how long to wait for a server that is gone.
        sleep: waits for some seconds.

    Raises:
        EngineLoadError: the server does not answer, or cannot run the model.
    """

    def __init__(
        self,
        manifest: ModelManifest,
        path: Path,
        *,
        provider: str = "auto",
        precision: str = "fp32",
        quantised: bool = True,
        cache_folder: Path | None = None,
        patience_s: float = 15.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._model_path, self._path = manifest.path, path
        self._patience_s, self._sleep = patience_s, sleep
        self._wanted = {
            "manifest": manifest_to(manifest),
            "provider": provider,
            "precision": precision,
            "quantised": quantised,
            "cache_folder": None if cache_folder is None else str(cache_folder.absolute()),
        }
        self._lock = threading.Lock()
        self._idle: list[_Link] = []
        self._is_closed = False
        try:
            link, answer = self._open()
        except WireError as exc:
            raise EngineLoadError(manifest.path, f"the engine server: {exc}") from exc
        self._idle.append(link)
        self.inputs: tuple[TensorSpec, ...] = specs_from(answer["inputs"])
        self.outputs: tuple[TensorSpec, ...] = specs_from(answer["outputs"])
        self._key = str(answer["key"])
        info = EngineInfo(**answer["info"])
        self._info = replace(info, backend=f"shared {info.backend}")

    def _open(self) -> tuple[_Link, dict[str, Any]]:
        """A new connection that knows the network; waits for a server that is just starting."""
        until_s = time.monotonic() + self._patience_s
        while True:
            try:
                link = _Link(self._path)
                try:
                    return link, link.load(self._wanted, self._model_path)
                except (WireError, EngineLoadError):
                    link.close()
                    raise
            except WireError:
                if self._is_closed or time.monotonic() >= until_s:
                    raise
            self._sleep(_KNOCK_EVERY_S)

    def infer(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Run the network; see `engines.protocols.Engine`."""
        check_feeds(self._info.model, self.inputs, inputs)
        try:
            try:
                return self._ask(self._borrow(), inputs)
            except WireError as exc:
                _LOG.warning("the engine server is gone, waiting for it: %s", exc)
                self._hang_up()
                return self._ask(self._open()[0], inputs)
        except (WireError, EngineLoadError) as exc:
            raise EngineRunError(f"{self._info.model}: the engine server: {exc}") from exc

    def _borrow(self) -> _Link:
        with self._lock:
            if self._is_closed:
                raise EngineRunError(f"{self._info.model}: closed")
            if self._idle:
                return self._idle.pop()
        return self._open()[0]

    def _ask(self, link: _Link, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        try:
            outputs = link.infer(self._key, inputs)
        except EngineRunError:
            self._give_back(link)
            raise
        except BaseException:
            # An answer that comes later would be taken for that of the next call.
            link.close()
            raise
        self._give_back(link)
        return outputs

    def _give_back(self, link: _Link) -> None:
        with self._lock:
            if not self._is_closed:
                self._idle.append(link)
                return
        link.close()

    def _hang_up(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for link in idle:
            link.close()

    def warm_up(self) -> None:
        """Run once on zeros, so that the first frame is not late."""
        self.infer(smallest_feeds(self.inputs))

    def describe(self) -> EngineInfo:
        """What runs in the server."""
        return self._info

    def close(self) -> None:
        """Hang up; the server keeps the network for others."""
        with self._lock:
            self._is_closed = True
        self._hang_up()
