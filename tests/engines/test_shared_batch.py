"""Calls that wait for one network: together where they may be, and answered apart."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from engines.errors import EngineRunError
from engines.shared_batch import Batcher
from tests.fakes.double_engine import DoubleEngine, rows_of


def _wait_for_calls(batcher: Batcher, count: int) -> None:
    end_s = time.monotonic() + 10
    while batcher.counts().calls < count:
        assert time.monotonic() < end_s
        time.sleep(0.005)


def test_calls_that_wait_are_run_together_and_answered_apart() -> None:
    engine, clock = DoubleEngine(), [100.0]
    batcher = Batcher(engine, workers=1, now=lambda: clock[0])
    engine.may_run.clear()
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(batcher.infer, rows_of(1))
        assert engine.started.acquire(timeout=10)
        others = [pool.submit(batcher.infer, rows_of(2))]
        _wait_for_calls(batcher, 2)
        # Of another size, in the midst of those that go together.
        odd = pool.submit(batcher.infer, {"x": np.ones((1, 7), np.float32)})
        _wait_for_calls(batcher, 3)
        others += [pool.submit(batcher.infer, rows_of(*v)) for v in ((3, 4), (5,))]
        _wait_for_calls(batcher, 5)
        clock[0] += 7
        assert batcher.counts().oldest_s == 7
        engine.may_run.set()
        assert first.result(10)["y"].tolist() == [[2]]
        assert [one.result(10)["y"].tolist() for one in others] == [[[4]], [[6], [8]], [[10]]]
        assert odd.result(10)["y"].shape == (1, 7)
    # One alone, three together, and the one of another size.
    assert sorted(engine.sizes) == [1, 1, 4]
    counts = batcher.counts()
    assert (counts.calls, counts.runs, counts.failures, counts.oldest_s) == (5, 3, 0, 0.0)
    batcher.close()
    assert engine.is_closed
    with pytest.raises(EngineRunError, match="closed"):
        batcher.infer(rows_of(1))


def test_free_workers_take_a_share_each() -> None:
    """Two workers that get free share what waits: one must not do everything."""
    engine = DoubleEngine()
    batcher = Batcher(engine, workers=2)
    engine.may_run.clear()
    with ThreadPoolExecutor(6) as pool:
        busy = [pool.submit(batcher.infer, rows_of(n)) for n in range(2)]
        for _ in busy:
            assert engine.started.acquire(timeout=10)
        waiting = [pool.submit(batcher.infer, rows_of(n)) for n in range(2, 6)]
        _wait_for_calls(batcher, 6)
        engine.may_run.set()
        results = [one.result(10)["y"].item() for one in (*busy, *waiting)]
    assert results == [0, 2, 4, 6, 8, 10]
    assert max(engine.sizes) == 2
    batcher.close()


def test_a_network_for_one_row_is_never_given_more() -> None:
    engine = DoubleEngine(rows=1)
    batcher = Batcher(engine, workers=1)
    engine.may_run.clear()
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(batcher.infer, rows_of(n)) for n in range(3)]
        _wait_for_calls(batcher, 3)
        engine.may_run.set()
        assert [one.result(10)["y"].item() for one in calls] == [0, 2, 4]
    assert engine.sizes == [1, 1, 1]
    batcher.close()


def test_a_call_that_is_wrong_fails_alone() -> None:
    batcher = Batcher(DoubleEngine(), workers=1)
    with pytest.raises(EngineRunError, match="expects inputs"):
        batcher.infer({})
    with pytest.raises(EngineRunError, match="negative"):
        batcher.infer(rows_of(-1))
    assert batcher.counts().failures == 1
    assert batcher.infer(rows_of(3))["y"].item() == 6
    batcher.close()
