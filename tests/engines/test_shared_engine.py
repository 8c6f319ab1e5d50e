"""Networks in the engine server: the same answers, together where they wait, and faults."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if sys.platform == "win32":
    pytest.skip("Unix sockets that pass descriptors", allow_module_level=True)

from engines.arrays import AnyArray
from engines.errors import EngineLoadError, EngineRunError
from engines.loader import load_engine
from engines.manifest import WEIGHTS_FOLDER, ModelManifest, load_manifest
from engines.protocols import Engine
from engines.shared_batch import Batcher
from engines.shared_engine import SharedEngine
from engines.shared_server import EngineServer
from engines.shared_wire import SharedMemory, WireError, receive, send, send_memory
from engines.types import EngineInfo, TensorSpec

_MANIFEST = ModelManifest("double", "1", Path("m.onnx"), "", 0.0, 1.0, (3, 4), {"a": [1, {}]})


class _Double:
    """Doubles; can be held up, and fails for negative numbers."""

    inputs = (TensorSpec("x", (None, None), "float32"),)
    outputs = (TensorSpec("y", (None, None), "float32"),)

    def __init__(self, *, rows: int | None = None) -> None:
        if rows is not None:
            self.inputs = (TensorSpec("x", (rows, None), "float32"),)
        self.may_run = threading.Event()
        self.may_run.set()
        self.started = threading.Semaphore(0)
        self.sizes: list[int] = []
        self.is_closed = False

    def infer(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        x = inputs["x"]
        self.sizes.append(len(x))
        self.started.release()
        assert self.may_run.wait(20)
        if (x < 0).any():
            raise EngineRunError("double 1: negative")
        return {"y": 2 * x}

    def warm_up(self) -> None: ...

    def describe(self) -> EngineInfo:
        return EngineInfo("fake", "cpu", "cpu", "double 1", "fp32", "asked for")

    def close(self) -> None:
        self.is_closed = True


def _rows(*values: float) -> dict[str, AnyArray]:
    return {"x": np.array([[v] for v in values], np.float32)}


@contextmanager
def _server(path: Path, engine: _Double, *, workers: int = 1) -> Iterator[EngineServer]:
    def load(*_: object, **__: object) -> Engine:
        return engine

    server = EngineServer(path, workers=workers, load=load)
    thread = threading.Thread(target=server.serve, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        engine.may_run.set()
        server.close()
        thread.join(10)
        assert not thread.is_alive()


def _wait_for_calls(batcher: Batcher, count: int) -> None:
    end_s = time.monotonic() + 10
    while batcher.counts().calls < count:
        assert time.monotonic() < end_s
        time.sleep(0.005)


def test_calls_that_wait_are_run_together_and_answered_apart() -> None:
    engine, clock = _Double(), [100.0]
    batcher = Batcher(engine, workers=1, now=lambda: clock[0])
    engine.may_run.clear()
    with ThreadPoolExecutor(5) as pool:
        first = pool.submit(batcher.infer, _rows(1))
        assert engine.started.acquire(timeout=10)
        others = [pool.submit(batcher.infer, _rows(2))]
        _wait_for_calls(batcher, 2)
        # Of another size, in the midst of those that go together.
        odd = pool.submit(batcher.infer, {"x": np.ones((1, 7), np.float32)})
        _wait_for_calls(batcher, 3)
        others += [pool.submit(batcher.infer, _rows(*v)) for v in ((3, 4), (5,))]
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
        batcher.infer(_rows(1))


def test_free_workers_take_a_share_each() -> None:
    """Two workers that get free share what waits: one must not do everything."""
    engine = _Double()
    batcher = Batcher(engine, workers=2)
    engine.may_run.clear()
    with ThreadPoolExecutor(6) as pool:
        busy = [pool.submit(batcher.infer, _rows(n)) for n in range(2)]
        for _ in busy:
            assert engine.started.acquire(timeout=10)
        waiting = [pool.submit(batcher.infer, _rows(n)) for n in range(2, 6)]
        _wait_for_calls(batcher, 6)
        engine.may_run.set()
        results = [one.result(10)["y"].item() for one in (*busy, *waiting)]
    assert results == [0, 2, 4, 6, 8, 10]
    assert max(engine.sizes) == 2
    batcher.close()


def test_a_network_for_one_row_is_never_given_more() -> None:
    engine = _Double(rows=1)
    batcher = Batcher(engine, workers=1)
    engine.may_run.clear()
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(batcher.infer, _rows(n)) for n in range(3)]
        _wait_for_calls(batcher, 3)
        engine.may_run.set()
        assert [one.result(10)["y"].item() for one in calls] == [0, 2, 4]
    assert engine.sizes == [1, 1, 1]
    batcher.close()


def test_a_call_that_is_wrong_fails_alone() -> None:
    batcher = Batcher(_Double(), workers=1)
    with pytest.raises(EngineRunError, match="expects inputs"):
        batcher.infer({})
    with pytest.raises(EngineRunError, match="negative"):
        batcher.infer(_rows(-1))
    assert batcher.counts().failures == 1
    assert batcher.infer(_rows(3))["y"].item() == 6
    batcher.close()


def test_processes_get_their_own_answers(tmp_path: Path) -> None:
    engine = _Double()
    with _server(tmp_path / "s", engine, workers=2) as server:
        shared = [SharedEngine(_MANIFEST, tmp_path / "s") for _ in range(3)]
        assert shared[0].inputs == engine.inputs
        assert shared[0].describe().backend == "shared fake"
        shared[0].warm_up()

        def ask(number: int) -> bool:
            # Sizes grow, so the shared memory does, too.
            x = np.full((1 + number % 5, 10 + 997 * number), number, np.float32)
            y = shared[number % 3].infer({"x": x})["y"]
            return bool(y.flags.owndata and y.shape == x.shape and (y == 2 * number).all())

        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(ask, range(60)))
        counts = server.counts()["double 1"]
        assert counts.calls == 61
        for one in shared:
            one.close()
        with pytest.raises(EngineRunError, match="closed"):
            shared[0].infer(_rows(1))
    assert engine.is_closed
    assert not (tmp_path / "s").exists()


def test_a_network_that_fails_is_told_to_the_one_who_asked(tmp_path: Path) -> None:
    with _server(tmp_path / "s", _Double()):
        shared = SharedEngine(_MANIFEST, tmp_path / "s")
        with pytest.raises(EngineRunError, match="negative"):
            shared.infer(_rows(-1))
        with pytest.raises(EngineRunError, match="must be"):
            shared.infer({"x": np.ones((1, 1), np.float64)})
        assert shared.infer(_rows(2))["y"].item() == 4
        shared.close()


def test_a_server_that_comes_back_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with _server(path, _Double()):
        shared = SharedEngine(_MANIFEST, path)
        assert shared.infer(_rows(1))["y"].item() == 2
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(shared.infer, _rows(5))
        time.sleep(0.3)
        assert not answer.done()
        with _server(path, _Double()):
            assert answer.result(10)["y"].item() == 10
    shared.close()


def test_a_server_that_stays_away_is_an_error(tmp_path: Path) -> None:
    with _server(tmp_path / "s", _Double()):
        shared = SharedEngine(_MANIFEST, tmp_path / "s", patience_s=0.1)
    with pytest.raises(EngineRunError, match="double 1: the engine server: nobody answers"):
        shared.infer(_rows(1))
    with pytest.raises(EngineLoadError, match="nobody answers"):
        SharedEngine(_MANIFEST, tmp_path / "s", patience_s=0.1)


@pytest.mark.parametrize(
    "said",
    [
        {"infer": "unknown", "inputs": []},
        {"load": {"manifest": {}}},
        {"load": 5},
        {"infer": 0, "inputs": [{"name": "x", "dtype": "O", "shape": [1], "at": 0}]},
        {},
    ],
)
def test_whoever_talks_nonsense_is_hung_up_on(said: dict[str, Any], tmp_path: Path) -> None:
    with _server(tmp_path / "s", _Double()):
        with socket.socket(socket.AF_UNIX) as link:
            link.connect(str(tmp_path / "s"))
            link.settimeout(10)
            memory = SharedMemory.create()
            send_memory(link, memory)
            send(link, said)
            with pytest.raises(WireError):
                receive(link)
            memory.close()
        shared = SharedEngine(_MANIFEST, tmp_path / "s")
        assert shared.infer(_rows(2))["y"].item() == 4
        shared.close()


@pytest.mark.parametrize(
    "place",
    [
        {"name": "x", "dtype": "float32", "shape": [1 << 20], "at": 0},
        {"name": "x", "dtype": "float32", "shape": [1 << 40], "at": 0},
        {"name": "x", "dtype": "float32", "shape": [1], "at": -4},
        {"name": "x", "dtype": "float32", "shape": [-1], "at": 8},
        {"name": "x", "dtype": "object", "shape": [1], "at": 0},
        {"name": "x", "shape": [1], "at": 0},
    ],
)
def test_a_tensor_outside_the_memory_is_refused(place: dict[str, Any]) -> None:
    memory = SharedMemory.create()
    memory.put(_rows(1, 2))
    with pytest.raises(WireError):
        memory.views([place])
    memory.close()


def test_nothing_is_left_open(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("counts descriptors in /proc")

    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = count()
    with _server(tmp_path / "s", _Double()):
        shared = SharedEngine(_MANIFEST, tmp_path / "s")
        shared.infer(_rows(1))
        shared.close()
    end_s = time.monotonic() + 10
    while count() > before and time.monotonic() < end_s:
        time.sleep(0.01)
    assert count() <= before


def test_our_own_network_gives_the_same_answers(tmp_path: Path) -> None:
    manifest = load_manifest(WEIGHTS_FOLDER / "encoder.json")
    server = EngineServer(tmp_path / "s", workers=2)
    threading.Thread(target=server.serve, daemon=True).start()
    try:
        alone = load_engine(manifest, provider="cpu", threads=1)
        shared = load_engine(manifest, provider="cpu", shared=tmp_path / "s")
        assert (shared.inputs, shared.outputs) == (alone.inputs, alone.outputs)
        size = (3, *alone.inputs[0].shape[2:])
        x = np.random.default_rng(7).uniform(-1, 1, (4, *map(int, filter(None, size))))
        feeds = [{alone.inputs[0].name: row[None].astype(np.float32)} for row in x]
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(shared.infer, feeds))
        for fed, answer in zip(feeds, answers, strict=True):
            for name, value in alone.infer(fed).items():
                np.testing.assert_allclose(answer[name], value, rtol=1e-3, atol=1e-4)
        wrong = ModelManifest("encoder", "1", tmp_path / "none.onnx", "", 0.0, 1.0)
        with pytest.raises(EngineLoadError, match="cannot be read"):
            load_engine(wrong, provider="cpu", shared=tmp_path / "s")
        with pytest.raises(EngineLoadError, match=r"there is no OpenVINO back end"):
            load_engine(manifest, provider="openvino", shared=tmp_path / "s")
        shared.close()
        alone.close()
    finally:
        with suppress(OSError):
            server.close()
