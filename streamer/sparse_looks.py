"""Which frames of a file are looked at, and the work of it handed to a pool of threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

from engines.types import Detections
from streamer.frames import Frame
from streamer.scene_cut import thumbnail
from streamer.sparse_finder import Sample, SparseFinder

__all__ = ["Looks", "PendingLooks"]

_Look: TypeAlias = "tuple[Sample, Future[list[Detections]]]"
PendingLooks: TypeAlias = "tuple[list[Sample], Future[list[Detections]]]"
"""Frames in order, and what will have been found in each of them."""


class Looks:
    """Decides which frames are looked at, and hands the work to a pool. Not thread-safe.

    A task is handed over once all that it needs is there, so no thread of the pool ever waits.

    Args:
        finder: finds the faces.
        pool: works in the order of its tasks.
    """

    def __init__(self, finder: SparseFinder, pool: ThreadPoolExecutor) -> None:
        self._finder = finder
        self._pool = pool
        self._last: _Look | None = None
        self._held: list[Sample] = []

    def add(self, frame: Frame) -> Iterator[PendingLooks]:
        """Take in the next frame; gives those that are on their way, in order."""
        self._held.append(Sample(frame, thumbnail(frame.pixels[: frame.size_hw[0]])))
        options, last = self._finder.options, self._last
        if (
            last is None
            or len(self._held) >= options.stride
            or (
                # One frame more would be too late.
                2 * frame.time_s - self._before_s(last) - last[0].frame.time_s > options.longest_s
            )
        ):
            yield from self.flush()

    def _before_s(self, last: _Look) -> float:
        before = self._held[-2] if len(self._held) > 1 else last[0]
        return before.frame.time_s

    def flush(self) -> Iterator[PendingLooks]:
        """Look at the newest frame, and thereby finish those before it."""
        if not self._held:
            return
        *between, sample = self._held
        self._held = []
        look = sample, self._pool.submit(lambda: [self._finder.look(sample)])
        if between and self._last is not None:
            yield between, _Gap(self._finder, self._pool, self._last, between, look).filled
        yield [sample], look[1]
        self._last = look


class _Gap:
    """The frames between two looks: found once both looks are done.

    A future keeps its callbacks for ever, so what they hold is let go of when it is used: otherwise
    each look would keep the frames of the one before it, and so all of the file.
    """

    def __init__(
        self,
        finder: SparseFinder,
        pool: ThreadPoolExecutor,
        first: _Look,
        between: list[Sample],
        last: _Look,
    ) -> None:
        self._pool, self._lock = pool, threading.Lock()
        self._awaited = 2
        self._fill: Callable[[], list[Detections]] = lambda: finder.between(
            (first[0], first[1].result()[0]), between, (last[0], last[1].result()[0])
        )
        self.filled: Future[list[Detections]] = Future()
        for _, look in (first, last):
            look.add_done_callback(self._arrived)

    def _arrived(self, _: Future[list[Detections]]) -> None:
        with self._lock:
            self._awaited -= 1
            if self._awaited:
                return
        fill, self._fill = self._fill, list
        try:
            self._pool.submit(self._run, fill)
        except RuntimeError as exc:  # the pool was shut down: nobody waits any more
            self.filled.set_exception(exc)

    def _run(self, fill: Callable[[], list[Detections]]) -> None:
        try:
            self.filled.set_result(fill())
        except BaseException as exc:  # nothing narrower: whoever waits must hear of it
            self.filled.set_exception(exc)
