"""SharedEngines: the engine server of a site, for as long as the site wants one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from streamer.engine_process import EngineProcess
from streamer.engine_use import EngineUse
from streamer.site import CameraSpec, SharedEnginesConfig, Site

__all__ = ["SharedEngines"]


class SharedEngines:
    """Starts and ends the server as the site says. `use` may be called from any thread.

    Args:
        command: starts the server's process.
    """

    def __init__(self, command: Sequence[str]) -> None:
        self._command = tuple(command)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._process: EngineProcess | None = None
        self._config = SharedEnginesConfig()

    @property
    def pid(self) -> int | None:
        """Of the server, None without one."""
        return None if self._process is None else self._process.pid

    def serve(self, site: Site) -> dict[str, CameraSpec]:
        """Start or end the server; the cameras of a site, told where it is.

        A camera whose server changes is another camera, and started again for it.
        """
        if site.engines != self._config:
            self.close()
            self._config = site.engines
        if not site.engines.shared:
            return dict(site.cameras)
        if self._process is None:
            # Only this user may enter: whoever reaches the socket may have files loaded.
            self._folder = tempfile.TemporaryDirectory(prefix="veilstream-")
            self._process = EngineProcess(
                Path(self._folder.name) / "engines", self._command, workers=site.engines.workers
            )
            self._process.start()
        return {name: _told(spec, self._process.socket) for name, spec in site.cameras.items()}

    def use(self) -> EngineUse | None:
        """What the server was asked, None without one."""
        process = self._process
        return None if process is None else process.use()

    def poll(self) -> None:
        """Look after the server."""
        if self._process is not None:
            self._process.poll()

    def close(self) -> None:
        """End the server."""
        process, self._process = self._process, None
        if process is not None:
            process.close()
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None


def _told(spec: CameraSpec, socket: Path) -> CameraSpec:
    engine = spec.config.engine.model_copy(update={"shared": socket})
    return replace(spec, config=spec.config.model_copy(update={"engine": engine}))
