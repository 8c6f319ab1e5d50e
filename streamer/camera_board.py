"""CameraBoard: the status of every camera of a process, in the order of the configuration."""

from __future__ import annotations

import threading

from streamer.camera_status import CameraSnapshot, CameraStatus

__all__ = ["CameraBoard"]


class CameraBoard:
    """Which cameras there are. All methods are thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._cameras: dict[str, CameraStatus] = {}

    def add(self, status: CameraStatus) -> CameraStatus:
        """Show a camera; one of the same name is replaced. Returns the same object."""
        with self._lock:
            self._cameras[status.name] = status
        return status

    def remove(self, name: str) -> None:
        """Show it no longer; nothing happens when there is none of this name."""
        with self._lock:
            self._cameras.pop(name, None)

    def get(self, name: str) -> CameraStatus | None:
        """The camera of this name, None when there is none."""
        with self._lock:
            return self._cameras.get(name)

    def snapshots(self) -> list[CameraSnapshot]:
        """All cameras at this moment."""
        with self._lock:
            cameras = list(self._cameras.values())
        return [camera.snapshot() for camera in cameras]
