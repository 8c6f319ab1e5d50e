"""CameraSnapshot: what one camera is doing at one moment, for whoever watches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final, Literal, TypeAlias

from pydantic import TypeAdapter

from streamer.camera_history import HistoryPoint
from streamer.latency import LatencySnapshot

__all__ = ["STATES", "CameraSnapshot", "CameraState", "ErrorNote", "SinkHealth"]

CameraState: TypeAlias = Literal["connecting", "live", "reconnecting", "failed", "stopped"]
STATES: Final[tuple[CameraState, ...]] = (
    *("connecting", "live", "reconnecting", "failed", "stopped"),
)


@dataclass(frozen=True, slots=True)
class ErrorNote:
    """Something that went wrong.

    Attributes:
        unix_s: when it happened last, seconds since 1970 UTC.
        text: what, without credentials.
        count: how often in a row.
    """

    unix_s: float
    text: str
    count: int = 1


@dataclass(frozen=True, slots=True)
class SinkHealth:
    """How one output of a camera is.

    Attributes:
        state: "up", "down", or "ended" for good.
        packets_sent: packets that it took.
        dropped: packets that it could not take in time.
        reconnects: how often it came back.
        last_error: the newest one, without credentials.
    """

    state: Literal["up", "down", "ended"] = "up"
    packets_sent: int = 0
    dropped: int = 0
    reconnects: int = 0
    last_error: str = ""


@dataclass(frozen=True, slots=True)
class CameraSnapshot:
    """A camera at one moment.

    Attributes:
        name: of the camera, as its label.
        state: what it is doing.
        reason: why, empty when there is nothing to say.
        state_age_s: for how long.
        silence_s: time since the last frame was put out, None before the first one.
        is_stuck: frames come in and none go out.
        frames_in: frames that came from the camera.
        frames_out: frames put out.
        frames_dropped: whole frames dropped before detection.
        faces_replaced: faces in frames that got a synthetic one.
        faces_covered: faces in frames that were covered.
        guard_rejections: synthetic faces refused because the person could still be seen in them.
        engine_errors: frames for which a network failed.
        reconnects: lost connections that came back.
        restarts: how often the job was started again after a failure.
        key_log_bytes: bytes of key log written.
        fps: frames put out a second, over the last few seconds.
        latency: time from the arrival of a frame to its leaving.
        queues: frames that wait, by place.
        sinks: outputs by name.
        errors: the newest errors, newest first.
        history: the last minutes.
    """

    name: str
    state: CameraState
    reason: str
    state_age_s: float
    silence_s: float | None
    is_stuck: bool
    frames_in: int
    frames_out: int
    frames_dropped: int
    faces_replaced: int
    faces_covered: int
    guard_rejections: int
    engine_errors: int
    reconnects: int
    restarts: int
    key_log_bytes: int
    fps: float
    latency: LatencySnapshot
    queues: Mapping[str, int] = field(default_factory=dict)
    sinks: Mapping[str, SinkHealth] = field(default_factory=dict)
    errors: tuple[ErrorNote, ...] = ()
    history: tuple[HistoryPoint, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; `from_dict` brings the snapshot back."""
        return asdict(self)

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> CameraSnapshot:
        """The snapshot again.

        Raises:
            ValueError: something is missing or of another type.
        """
        return TypeAdapter(CameraSnapshot).validate_python(values)
