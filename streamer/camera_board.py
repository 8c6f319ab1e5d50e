"""CameraBoard: every camera of a process, in the order of the configuration."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from streamer.camera_snapshot import CameraSnapshot
from streamer.engine_use import EngineUse

__all__ = ["CameraBoard", "CameraEntry"]


class CameraEntry(Protocol):
    """A camera as the board sees it: a `CameraStatus`, or a link to the process that has one."""

    @property
    def name(self) -> str:
        """Its label."""
        ...

    def snapshot(self) -> CameraSnapshot:
        """Everything at this moment; returns at once."""
        ...

    def preview_jpeg(self) -> bytes | None:
        """The newest anonymised frame as a JPEG picture, None while there is none."""
        ...


class CameraBoard:
    """Which cameras there are. All methods are thread-safe.

    Args:
        engines: what the networks that they share were asked, None when they share none.
    """

    def __init__(self, *, engines: Callable[[], EngineUse | None] = lambda: None) -> None:
        self.engines = engines
        self._lock = threading.Lock()
        self._cameras: dict[str, CameraEntry] = {}

    def add(self, camera: CameraEntry) -> None:
        """Show a camera; one of the same name is replaced."""
        with self._lock:
            self._cameras[camera.name] = camera

    def remove(self, name: str) -> None:
        """Show it no longer; nothing happens when there is none of this name."""
        with self._lock:
            self._cameras.pop(name, None)

    def get(self, name: str) -> CameraEntry | None:
        """The camera of this name, None when there is none."""
        with self._lock:
            return self._cameras.get(name)

    def snapshots(self) -> list[CameraSnapshot]:
        """All cameras at this moment."""
        with self._lock:
            cameras = list(self._cameras.values())
        return [camera.snapshot() for camera in cameras]
