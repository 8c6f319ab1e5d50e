"""Health: whether a process works, and whether its cameras deliver."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from streamer.camera_snapshot import CameraSnapshot

__all__ = ["Verdict", "liveness", "readiness"]

# A live camera that has put nothing out for this time does not deliver.
_SILENT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """An answer to a probe.

    Attributes:
        is_good: what the status code says.
        reasons: camera and what is wrong with it.
    """

    is_good: bool
    reasons: tuple[str, ...] = ()


def liveness(cameras: Sequence[CameraSnapshot]) -> Verdict:
    """Whether starting the process again would help: not for a lost camera, but for a hanging job.

    Args:
        cameras: all cameras of the process.
    """
    stuck = tuple(f"{one.name}: frames come in, none go out" for one in cameras if one.is_stuck)
    return Verdict(not stuck, stuck)


def readiness(cameras: Sequence[CameraSnapshot]) -> Verdict:
    """Whether every camera delivers; no cameras at all are not ready.

    Args:
        cameras: those that should deliver.
    """
    if not cameras:
        return Verdict(False, ("no cameras",))
    reasons = tuple(filter(None, (_why_not_ready(camera) for camera in cameras)))
    return Verdict(not reasons, reasons)


def _why_not_ready(camera: CameraSnapshot) -> str:
    if camera.state != "live":
        why = f" ({camera.reason})" if camera.reason else ""
        return f"{camera.name}: {camera.state}{why}"
    if camera.silence_s is None:
        return f"{camera.name}: nothing put out yet"
    if camera.silence_s > _SILENT_S:
        return f"{camera.name}: nothing put out for {camera.silence_s:.0f} s"
    return ""
