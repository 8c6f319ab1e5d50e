"""CameraStatus: what one camera is doing, written by its job and read by whoever watches."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from streamer.blender import AnonymizedFrame, BlendResult
from streamer.camera_history import CameraHistory
from streamer.camera_snapshot import CameraSnapshot, CameraState, ErrorNote, SinkHealth
from streamer.latency import LatencyHistogram
from streamer.preview import preview_jpeg
from streamer.redact import redact_text

__all__ = ["CameraStatus"]

_MOST_ERRORS: Final = 20
_log = logging.getLogger(__name__)

# A job that takes frames in but gives none out for this time hangs.
_STUCK_S: Final = 30.0


@dataclass(slots=True)
class _Counters:
    frames_in: int = 0
    frames_out: int = 0
    frames_dropped: int = 0
    faces_replaced: int = 0
    faces_covered: int = 0
    guard_rejections: int = 0
    engine_errors: int = 0
    reconnects: int = 0
    key_log_bytes: int = 0


class CameraStatus:
    """Everything there is to know about a camera while it runs. All methods are thread-safe.

    Counters begin with this object, which lives as long as its job.

    Args:
        name: of the camera; shown to whoever may watch, so no credentials.
        now: monotonic clock in seconds.
        wall: seconds since 1970 UTC, for the times of errors only.
    """

    def __init__(
        self,
        name: str,
        *,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self.name = name
        self._now, self._wall = now, wall
        self._lock = threading.Lock()
        self._state: CameraState = "connecting"
        self._reason = ""
        self._since_s = now()
        self._last_in_s: float | None = None
        self._last_out_s: float | None = None
        self._counters = _Counters()
        self._latency = LatencyHistogram()
        self._history = CameraHistory(now())
        self._queues: dict[str, int] = {}
        self._sinks: dict[str, SinkHealth] = {}
        self._errors: deque[ErrorNote] = deque(maxlen=_MOST_ERRORS)
        self._latest: AnonymizedFrame | None = None

    @property
    def latest(self) -> AnonymizedFrame | None:
        """The newest frame that was put out; there is no way to a frame as the camera gave it."""
        return self._latest

    def preview_jpeg(self) -> bytes | None:
        """The newest frame that was put out as a JPEG picture, None before the first one."""
        frame = self._latest
        return None if frame is None else preview_jpeg(frame)

    def state(self, state: CameraState, reason: str = "") -> None:
        """Say what the camera is doing now; `reason` is redacted here."""
        shown = redact_text(reason)
        with self._lock:
            is_new = state != self._state
            if is_new:
                self._since_s = self._now()
            self._state, self._reason = state, shown
        if is_new:
            self._say(state, shown)

    def _say(self, state: CameraState, reason: str) -> None:
        why = f": {reason}" if reason else ""
        _log.info(
            "camera %s is %s%s", self.name, state, why, extra={"camera": self.name, "state": state}
        )

    def error(self, text: str) -> None:
        """Note what went wrong; credentials in URLs are removed here."""
        shown = redact_text(text)
        with self._lock:
            note = ErrorNote(self._wall(), shown)
            if self._errors and self._errors[-1].text == shown:
                note = ErrorNote(note.unix_s, shown, self._errors.pop().count + 1)
            self._errors.append(note)

    def arrived(self) -> None:
        """A frame came from the camera."""
        with self._lock:
            self._counters.frames_in += 1
            self._last_in_s = self._now()
            is_new = self._state in ("connecting", "reconnecting")
        if is_new:
            self.state("live")

    def reconnected(self) -> None:
        """The connection was lost and is back."""
        with self._lock:
            self._counters.reconnects += 1

    def put_out(self, result: BlendResult, latency_s: float | None) -> None:
        """A frame has left.

        Raises:
            TypeError: it is no anonymised frame.
        """
        if not isinstance(result.frame, AnonymizedFrame):
            raise TypeError(f"only AnonymizedFrame may be shown, got {type(result.frame).__name__}")
        with self._lock:
            counters = self._counters
            counters.frames_out += 1
            counters.faces_replaced += len(result.replaced)
            counters.faces_covered += len(result.filled)
            self._last_out_s = self._now()
            self._latest = result.frame
            if latency_s is not None:
                self._latency.add(latency_s)
            self._history.add(self._last_out_s, latency_s or 0.0)

    def totals(self, *, dropped: int, key_log_bytes: int) -> None:
        """Totals of the job: frames dropped before detection, bytes of its key log."""
        with self._lock:
            self._counters.frames_dropped = dropped
            self._counters.key_log_bytes = key_log_bytes

    def queues(self, waiting: Mapping[str, int]) -> None:
        """Frames that wait, by place."""
        with self._lock:
            self._queues.update(waiting)

    def sink(self, name: str, health: SinkHealth) -> None:
        """How an output is; its name must hold no credentials."""
        with self._lock:
            self._sinks[name] = health

    def guard_rejected(self, count: int) -> None:
        """Synthetic faces were refused because the person could still be seen in them."""
        with self._lock:
            self._counters.guard_rejections += count

    def engine_failed(self, text: str) -> None:
        """A network failed for one frame, whose faces were covered instead."""
        self.error(text)
        with self._lock:
            self._counters.engine_errors += 1

    def snapshot(self) -> CameraSnapshot:
        """Everything at this moment."""
        with self._lock:
            now_s, counters = self._now(), self._counters
            return CameraSnapshot(
                name=self.name,
                state=self._state,
                reason=self._reason,
                state_age_s=now_s - self._since_s,
                silence_s=None if self._last_out_s is None else now_s - self._last_out_s,
                is_stuck=self._is_stuck(now_s),
                frames_in=counters.frames_in,
                frames_out=counters.frames_out,
                frames_dropped=counters.frames_dropped,
                faces_replaced=counters.faces_replaced,
                faces_covered=counters.faces_covered,
                guard_rejections=counters.guard_rejections,
                engine_errors=counters.engine_errors,
                reconnects=counters.reconnects,
                restarts=0,  # whoever starts processes counts them
                key_log_bytes=counters.key_log_bytes,
                fps=self._history.fps(now_s),
                latency=self._latency.snapshot(),
                queues=dict(self._queues),
                sinks=dict(self._sinks),
                errors=tuple(reversed(self._errors)),
                history=self._history.points(now_s),
            )

    def _is_stuck(self, now_s: float) -> bool:
        if self._state != "live" or self._last_in_s is None or now_s - self._last_in_s > _STUCK_S:
            return False
        since_s = self._since_s if self._last_out_s is None else self._last_out_s
        return now_s - since_s > _STUCK_S
