"""The faults of a soak: what is done to a camera and its network, one after the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.live_camera import Camera
from benchmarks.live_proxy import RtspProxy
from benchmarks.live_service import LiveService

__all__ = ["FAULTS", "PATIENCE_S", "Rig"]

PATIENCE_S: Final = 120.0
_HOUR: Final = 3600 * 90000


@dataclass(slots=True)
class Rig:
    """What can be made to fail.

    Attributes:
        camera: the server.
        proxy: the network between it and the job.
        service: the job.
        viewer: the server that it publishes to.
        videos: the camera's clip at its own size and at another one.
        held_s: how long faults last that have no end by themselves.
    """

    camera: Camera
    proxy: RtspProxy
    service: LiveService
    viewer: Camera
    videos: tuple[Path, Path]
    held_s: float

    def is_lost(self) -> None:
        """Wait until the job has noticed."""
        self.service.wait(lambda now: now["state"] == "reconnecting", PATIENCE_S)


def _kill(rig: Rig) -> None:
    rig.camera.kill()
    rig.is_lost()
    rig.camera.start()


def _stall(rig: Rig) -> None:
    rig.camera.stall()
    rig.is_lost()
    rig.camera.resume()


def _resize(rig: Rig) -> None:
    first, second = rig.videos
    rig.camera.video = second if rig.camera.video == first else first
    _kill(rig)


def _kill_viewer(rig: Rig) -> None:
    """What was published until then stays, and the next server writes to another file."""
    rig.viewer.kill()
    rig.service.wait(lambda now: "down" in _published(now), PATIENCE_S)
    rig.viewer.video = rig.viewer.video.with_name(f"published-{time.monotonic_ns()}.ts")
    rig.viewer.start()
    rig.service.wait(lambda now: "up" in _published(now), PATIENCE_S)


def _published(camera: dict[str, Any]) -> list[str]:
    """States of the outputs that are servers."""
    return [sink["state"] for name, sink in camera["sinks"].items() if name.startswith("rtsp")]


def _cut(rig: Rig) -> None:
    rig.proxy.faults.is_refusing = True
    rig.proxy.cut()
    rig.is_lost()
    time.sleep(rig.held_s)
    rig.proxy.faults.is_refusing = False


def _ratio(name: str, value: float) -> Callable[[Rig], None]:
    def fault(rig: Rig) -> None:
        setattr(rig.proxy.faults, name, value)
        time.sleep(rig.held_s)
        setattr(rig.proxy.faults, name, 0.0)

    return fault


def _jump(ticks: int) -> Callable[[Rig], None]:
    def fault(rig: Rig) -> None:
        rig.proxy.faults.time_shift += ticks

    return fault


FAULTS: Final[tuple[tuple[str, Callable[[Rig], None]], ...]] = (
    ("server killed", _kill),
    ("packets lost, 10 %", _ratio("loss_ratio", 0.1)),
    ("server stalls", _stall),
    ("clock +1 h", _jump(_HOUR)),
    ("connection cut", _cut),
    ("payload corrupt, 20 %", _ratio("corrupt_ratio", 0.2)),
    ("clock -1 h", _jump(-_HOUR)),
    ("time stamps wrap", _jump(1 << 31)),
    ("another size", _resize),
    ("viewer's server killed", _kill_viewer),
)
