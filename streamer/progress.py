"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

__all__ = [
    "PlainProgress",
    "ProgressSink",
    "QuietProgress",
    "RichProgress",
    "Tick",
    "open_progress",
]

_PLAIN_INTERVAL_S = 5.0


@dataclass(frozen=True, slots=True)
class Tick:
    """Where a phase stands.

    Attributes:
        phase: "analyse", "choose faces", "render", "read back" or "recover".
        done: frames finished; identities where faces are chosen.
        total: what is expected, None when unknown.
        faces: faces in the newest frame.
        tracks: tracks so far.
        fallbacks: faces covered instead of replaced so far.
    """

    phase: str
    done: int
    total: int | None
    faces: int = 0
    tracks: int = 0
    fallbacks: int = 0


class ProgressSink(Protocol):
    """Takes ticks; a context manager so that a bar is taken down also on errors."""

    def update(self, tick: Tick) -> None:
        """Show it."""
        ...

    def __enter__(self) -> ProgressSink: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


class QuietProgress:
    """Shows nothing."""

    def update(self, tick: Tick) -> None:
        """Ignore it."""

    def __enter__(self) -> QuietProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to take down."""


def _details(tick: Tick, fps: float) -> str:
    if tick.phase == "choose faces":
        return "people"
    parts = [f"{fps:.1f} fps"]
    if tick.phase != "recover":
        parts += [f"{tick.faces} faces", f"{tick.tracks} tracks"]
    if tick.phase == "render":
        parts.append(f"{tick.fallbacks} fallbacks")
    return ", ".join(parts)


class _Rate:
    """Frames per second since a phase began."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._phase = ""
        self._start_s = 0.0

    def of(self, tick: Tick) -> float:
        if tick.phase != self._phase:
            self._phase, self._start_s = tick.phase, self._now()
        return tick.done / max(self._now() - self._start_s, 1e-6) if tick.done > 1 else 0.0


class PlainProgress:
    """One line every few seconds and one at the end of each phase."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._rate = _Rate(now)
        self._last_s = now()

    def update(self, tick: Tick) -> None:
        """Write a line when it is time."""
        fps = self._rate.of(tick)
        if self._now() - self._last_s < _PLAIN_INTERVAL_S and tick.done != tick.total:
            return
        self._last_s = self._now()
        total = "?" if tick.total is None else str(tick.total)
        print(f"{tick.phase}: {tick.done}/{total}, {_details(tick, fps)}", file=sys.stderr)

    def __enter__(self) -> PlainProgress:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nothing to take down."""


class RichProgress:
    """A bar per phase with rate, time left, faces, tracks and fallbacks."""

    def __init__(self, *, now: Callable[[], float] = time.monotonic) -> None:
        self._rate = _Rate(now)
        self._bars: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description:>8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[details]}"),
            console=Console(stderr=True),
        )

    def update(self, tick: Tick) -> None:
        """Move the bar of the phase."""
        details = _details(tick, self._rate.of(tick))
        if tick.phase not in self._bars:
            self._bars[tick.phase] = self._progress.add_task(
                tick.phase, total=tick.total, details=details
            )
        self._progress.update(
            self._bars[tick.phase], completed=tick.done, total=tick.total, details=details
        )

    def __enter__(self) -> RichProgress:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the finished bars on the screen."""
        self._progress.stop()


def open_progress(*, quiet: bool) -> ProgressSink:
    """The progress display that fits where standard error goes."""
    if quiet:
        return QuietProgress()
    return RichProgress() if sys.stderr.isatty() else PlainProgress()
