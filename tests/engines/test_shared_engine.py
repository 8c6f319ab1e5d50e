"""Networks in the engine server: the same answers as alone, and faults."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

if sys.platform == "win32":
    pytest.skip("Unix sockets that pass descriptors", allow_module_level=True)

from engines.errors import EngineLoadError, EngineRunError
from engines.loader import load_engine
from engines.manifest import WEIGHTS_FOLDER, ModelManifest, load_manifest
from engines.protocols import Engine
from engines.shared_engine import SharedEngine
from engines.shared_server import EngineServer
from engines.shared_wire import SharedMemory, WireError, receive, send, send_memory
from tests.fakes.double_engine import DoubleEngine, rows_of

_MANIFEST = ModelManifest("double", "1", Path("m.onnx"), "", 0.0, 1.0, (3, 4), {"a": [1, {}]})


@contextmanager
def _server(path: Path, engine: DoubleEngine, *, workers: int = 1) -> Iterator[EngineServer]:
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


def test_processes_get_their_own_answers(tmp_path: Path) -> None:
    engine = DoubleEngine()
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
            shared[0].infer(rows_of(1))
    assert engine.is_closed
    assert not (tmp_path / "s").exists()


def test_a_network_that_fails_is_told_to_the_one_who_asked(tmp_path: Path) -> None:
    with _server(tmp_path / "s", DoubleEngine()):
        shared = SharedEngine(_MANIFEST, tmp_path / "s")
        with pytest.raises(EngineRunError, match="negative"):
            shared.infer(rows_of(-1))
        with pytest.raises(EngineRunError, match="must be"):
            shared.infer({"x": np.ones((1, 1), np.float64)})
        assert shared.infer(rows_of(2))["y"].item() == 4
        shared.close()


def test_a_server_that_comes_back_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with _server(path, DoubleEngine()):
        shared = SharedEngine(_MANIFEST, path)
        assert shared.infer(rows_of(1))["y"].item() == 2
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(shared.infer, rows_of(5))
        time.sleep(0.3)
        assert not answer.done()
        with _server(path, DoubleEngine()):
            assert answer.result(10)["y"].item() == 10
    shared.close()


def test_a_server_that_stays_away_is_an_error(tmp_path: Path) -> None:
    with _server(tmp_path / "s", DoubleEngine()):
        shared = SharedEngine(_MANIFEST, tmp_path / "s", patience_s=0.1)
    with pytest.raises(EngineRunError, match="double 1: the engine server: nobody answers"):
        shared.infer(rows_of(1))
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
    with _server(tmp_path / "s", DoubleEngine()):
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
        assert shared.infer(rows_of(2))["y"].item() == 4
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
    memory.put(rows_of(1, 2))
    with pytest.raises(WireError):
        memory.views([place])
    memory.close()


def test_nothing_is_left_open(tmp_path: Path) -> None:
    if not Path("/proc/self/fd").is_dir():
        pytest.skip("counts descriptors in /proc")

    def count() -> int:
        return len(os.listdir("/proc/self/fd"))

    before = count()
    with _server(tmp_path / "s", DoubleEngine()):
        shared = SharedEngine(_MANIFEST, tmp_path / "s")
        shared.infer(rows_of(1))
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
        with pytest.raises(EngineLoadError, match=r"int8 is a choice for the CPU"):
            load_engine(manifest, provider="cuda", precision="int8", shared=tmp_path / "s")
        shared.close()
        alone.close()
    finally:
        with suppress(OSError):
            server.close()
