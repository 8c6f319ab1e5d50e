"""Batcher: calls of several processes for one network, taken together where they wait anyway."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from engines.arrays import AnyArray
from engines.errors import EngineRunError
from engines.feeds import check_feeds
from engines.protocols import Engine

__all__ = ["BatchCounts", "Batcher"]

_Tensors: TypeAlias = dict[str, AnyArray]
_Kind: TypeAlias = tuple[tuple[str, tuple[int, ...], str], ...]


@dataclass(frozen=True, slots=True)
class BatchCounts:
    """What a network was asked since it was loaded.

    Attributes:
        calls: how often somebody asked.
        runs: how often the network ran; fewer than calls where several were taken together.
        failures: runs that failed.
        oldest_s: how long the oldest call has been waiting for its answer, 0 without one.
    """

    calls: int
    runs: int
    failures: int
    oldest_s: float


@dataclass(slots=True, eq=False)  # two calls are never the same, whatever their arrays hold
class _Call:
    feeds: Mapping[str, AnyArray]
    rows: int
    kind: _Kind
    since_s: float
    answer: Future[_Tensors] = field(default_factory=Future)


class Batcher:
    """Runs one network for all who call. Thread-safe.

    Nobody waits for company: a worker that is free takes what is there. Where all are busy calls
    gather, and the next free one takes its share of those of the same size in one run.

    Args:
        engine: the network; owned.
        workers: runs at the same time.
        most_rows: rows of one run.
        now: monotonic clock in seconds.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        workers: int,
        most_rows: int = 16,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.engine = engine
        self._workers, self._most_rows, self._now = workers, most_rows, now
        # A model exported for a fixed number of rows is run as often as it is called.
        self._can_join = all(spec.shape and spec.shape[0] is None for spec in engine.inputs)
        self._waiting: deque[_Call] = deque()
        self._wake = threading.Condition()
        self._is_closed = False
        self._calls = self._runs = self._failures = 0
        self._open: dict[int, _Call] = {}
        self._threads = [
            threading.Thread(target=self._work, name=f"engine {number}", daemon=True)
            for number in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    def infer(self, feeds: Mapping[str, AnyArray]) -> _Tensors:
        """Run the network on a batch, alone or with others'; see `engines.protocols.Engine`."""
        # A wrong call must fail alone.
        check_feeds(self.engine.describe().model, self.engine.inputs, feeds)
        kind = tuple((name, x.shape[1:], x.dtype.name) for name, x in sorted(feeds.items()))
        rows = {x.shape[0] if x.ndim else 0 for x in feeds.values()}
        call = _Call(feeds, rows.pop() if len(rows) == 1 else 0, kind, self._now())
        with self._wake:
            if self._is_closed:
                raise EngineRunError("the engine is closed")
            self._calls += 1
            self._waiting.append(call)
            self._open[id(call)] = call
            self._wake.notify()
        try:
            return call.answer.result()
        finally:
            with self._wake:
                self._open.pop(id(call))

    def counts(self) -> BatchCounts:
        """What was asked until now."""
        with self._wake:
            since_s = min((call.since_s for call in self._open.values()), default=None)
            oldest_s = 0.0 if since_s is None else self._now() - since_s
            return BatchCounts(self._calls, self._runs, self._failures, oldest_s)

    def close(self) -> None:
        """Finish what was asked and release the network."""
        with self._wake:
            self._is_closed = True
            self._wake.notify_all()
        for thread in self._threads:
            thread.join()
        self.engine.close()

    def _work(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._waiting or self._is_closed)
                if not self._waiting:
                    return
                calls = self._take()
                self._runs += 1
            if not self._answer(calls):
                with self._wake:
                    self._failures += 1

    def _take(self) -> list[_Call]:
        """The call that has waited longest, and others like it: a fair share for one worker."""
        first = self._waiting.popleft()
        calls, rows = [first], first.rows
        share = -(-(len(self._waiting) + 1) // self._workers)
        if not self._can_join or first.rows == 0 or share == 1:
            return calls
        for other in [call for call in self._waiting if call.kind == first.kind]:
            if len(calls) == share or other.rows == 0 or rows + other.rows > self._most_rows:
                break
            self._waiting.remove(other)
            calls.append(other)
            rows += other.rows
        return calls

    def _answer(self, calls: Sequence[_Call]) -> bool:
        try:
            answers = _run(self.engine, calls)
        except BaseException as exc:  # whoever called is told, and the worker goes on
            failed = exc if isinstance(exc, EngineRunError) else EngineRunError(str(exc))
            for call in calls:
                call.answer.set_exception(failed)
            return False
        for call, answer in zip(calls, answers, strict=True):
            call.answer.set_result(answer)
        return True


def _run(engine: Engine, calls: Sequence[_Call]) -> list[_Tensors]:
    if len(calls) == 1:
        return [engine.infer(calls[0].feeds)]
    names = list(calls[0].feeds)
    outputs = engine.infer(
        {name: np.concatenate([call.feeds[name] for call in calls]) for name in names}
    )
    ends = np.cumsum([call.rows for call in calls])
    if any(len(value) != ends[-1] for value in outputs.values()):
        # Not one row for one row, so nobody can tell whose is whose.
        return [engine.infer(call.feeds) for call in calls]
    parts = {name: np.split(value, ends[:-1]) for name, value in outputs.items()}
    return [{name: part[number] for name, part in parts.items()} for number in range(len(calls))]
