"""Which frames of a file are looked at, and the work of it handed to a pool of threads."""

from __future__ import annotations

from collections.abc import Iterator
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
            yield between, self._filled(self._last, between, look)
        yield [sample], look[1]
        self._last = look

    def _filled(self, first: _Look, between: list[Sample], last: _Look) -> Future[list[Detections]]:
        """What will have been found between two looks."""
        filled: Future[list[Detections]] = Future()

        def fill() -> None:
            try:
                begin, end = ((sample, found.result()[0]) for sample, found in (first, last))
                filled.set_result(self._finder.between(begin, between, end))
            except BaseException as exc:  # nothing narrower: whoever waits must hear of it
                filled.set_exception(exc)

        def start(_: Future[list[Detections]]) -> None:
            try:
                self._pool.submit(fill)
            except RuntimeError as exc:  # the pool was shut down: nobody waits any more
                filled.set_exception(exc)

        # The looks may end in any order.
        first[1].add_done_callback(lambda _: last[1].add_done_callback(start))
        return filled
