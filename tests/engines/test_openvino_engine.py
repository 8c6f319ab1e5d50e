from __future__ import annotations

import hashlib
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("openvino", reason="OpenVINO is an extra: pip install .[openvino]")
pytest.importorskip("onnx", reason="builds tiny models")

import engines.precision
from engines.arrays import Float32Array
from engines.errors import EngineLoadError, EngineRunError
from engines.loader import load_engine
from engines.manifest import WEIGHTS_FOLDER, ModelManifest, load_manifest
from engines.openvino_engine import OpenVinoEngine
from tests.engines.test_trt_engine import pooling_model


def _open(**options: Any) -> OpenVinoEngine:  # noqa: ANN401 - the engine's options
    return OpenVinoEngine(pooling_model(), Path("pool.onnx"), model_name="pool 1", **options)


@pytest.fixture
def engine() -> Iterator[OpenVinoEngine]:
    made = _open(threads=1)
    yield made
    made.close()


def _picture(seed: int, rows: int, height: int = 64, width: int = 96) -> Float32Array:
    values = np.random.default_rng(seed).uniform(-1, 1, (rows, 3, height, width))
    return values.astype(np.float32)


def _check(engine: OpenVinoEngine, x: Float32Array) -> None:
    found = engine.infer({"x": x})
    np.testing.assert_allclose(found["mean"][..., 0, 0], x.mean((2, 3)), atol=1e-5)
    rows, columns = x.shape[2] // 32, x.shape[3] // 32
    cells = x.reshape(len(x), 3, rows, 32, columns, 32).mean((3, 5))
    np.testing.assert_allclose(found["map"], cells, atol=1e-5)


def test_it_says_what_it_takes_gives_and_runs_on(engine: OpenVinoEngine) -> None:
    assert engine.inputs[0].shape == (None, 3, None, None)
    assert engine.inputs[0].dtype == "float32"
    assert [spec.name for spec in engine.outputs] == ["map", "mean"]
    info = engine.describe()
    assert (info.backend, info.provider, info.precision) == ("openvino", "openvino", "fp32")
    assert info.device


@pytest.mark.parametrize("rows", [1, 3])
def test_rows_of_a_batch_are_computed_alike(engine: OpenVinoEngine, rows: int) -> None:
    engine.warm_up()
    _check(engine, _picture(rows, rows))


def test_no_rows_give_no_rows(engine: OpenVinoEngine) -> None:
    found = engine.infer({"x": _picture(0, 1)[:0]})
    assert len(found["mean"]) == len(found["map"]) == 0


def test_sizes_that_come_again_are_compiled_for_and_the_oldest_are_forgotten(
    engine: OpenVinoEngine,
) -> None:
    _check(engine, _picture(0, 1))
    assert not engine._sizes
    for width in range(32, 32 * 9, 32):
        for seed in range(4):
            _check(engine, _picture(seed, 1, width=width))
    assert [key[0][3] for key in engine._sizes] == list(range(32 * 3, 32 * 9, 32))
    _check(engine, _picture(0, 2, width=32))
    _check(engine, _picture(1, 1, width=32 * 8))


def test_several_threads_get_their_own_answers(engine: OpenVinoEngine) -> None:
    start = threading.Barrier(4)

    def ask(seed: int) -> None:
        start.wait(timeout=30)
        for width in (64, 96, 64, 96, 64):
            _check(engine, _picture(seed, 2, width=width))

    with ThreadPoolExecutor(4) as pool:
        for answer in [pool.submit(ask, seed) for seed in range(4)]:
            answer.result()


def test_what_was_given_is_not_written_over(engine: OpenVinoEngine) -> None:
    first = engine.infer({"x": _picture(0, 1)})["mean"]
    kept = first.copy()
    engine.infer({"x": _picture(1, 1)})
    np.testing.assert_array_equal(first, kept)


def test_wrong_feeds_and_a_closed_engine_are_one_line(engine: OpenVinoEngine) -> None:
    with pytest.raises(EngineRunError, match="pool 1"):
        engine.infer({"x": _picture(0, 1).astype(np.float64)})
    with pytest.raises(EngineRunError, match="pool 1") as caught:
        engine.infer({"x": _picture(0, 1, height=16)})  # smaller than what is pooled
    assert "\n" not in str(caught.value)
    engine.close()
    with pytest.raises(EngineRunError, match="pool 1"):
        engine.infer({"x": _picture(0, 1)})


def test_rubbish_is_a_load_error() -> None:
    with pytest.raises(EngineLoadError, match="cannot load model") as caught:
        OpenVinoEngine(b"not a model", Path("m.onnx"), model_name="m 1")
    assert "\n" not in str(caught.value)


def test_without_the_package_the_line_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineLoadError, match=r"pip install 'veilstream\[openvino\]'"):
        _open()


@pytest.mark.parametrize(
    ("has_amx", "precision", "taken"),
    [(True, "auto", "bf16"), (True, "fp32", "fp32"), (False, "auto", "fp32")],
)
def test_bfloat16_is_for_processors_that_multiply_it(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    has_amx: bool,
    precision: Any,  # noqa: ANN401 - the literal's values
    taken: str,
) -> None:
    monkeypatch.setattr(engines.precision, "has_amx", lambda: has_amx)
    asked: list[str] = []

    class _Noting(OpenVinoEngine):
        def __init__(self, *args: Any, precision: str, **kwargs: Any) -> None:  # noqa: ANN401
            asked.append(precision)
            super().__init__(*args, precision="fp32", **kwargs)

    monkeypatch.setattr("engines.openvino_engine.OpenVinoEngine", _Noting)
    data = pooling_model()
    path = tmp_path / "pool.onnx"
    path.write_bytes(data)
    manifest = ModelManifest("pool", "1", path, hashlib.sha256(data).hexdigest(), 127.5, 127.5)
    load_engine(manifest, provider="openvino", precision=precision).close()
    assert asked == [taken]


def test_int8_is_not_for_openvino() -> None:
    manifest = load_manifest(WEIGHTS_FOLDER / "generator.json")
    with pytest.raises(EngineLoadError, match="int8 is a choice for the CPU"):
        load_engine(manifest, provider="openvino", precision="int8")
    form = load_manifest(WEIGHTS_FOLDER / "generator-int8.json")
    with pytest.raises(EngineLoadError, match="was quantised for cpu"):
        load_engine(form, provider="openvino")


@pytest.mark.parametrize("name", ["detector", "encoder", "landmarks"])
def test_our_networks_give_what_onnx_runtime_gives(name: str) -> None:
    manifest = load_manifest(WEIGHTS_FOLDER / f"{name}.json")
    ours = load_engine(manifest, provider="openvino", threads=1, precision="fp32")
    theirs = load_engine(manifest, provider="cpu", threads=1)
    shape = [size or axis for size, axis in zip(ours.inputs[0].shape, (2, 3, 64, 96), strict=False)]
    x = np.random.default_rng(3).uniform(-1, 1, shape).astype(np.float32)
    assert (ours.inputs, [s.name for s in ours.outputs]) == (
        theirs.inputs,
        [s.name for s in theirs.outputs],
    )
    wanted = theirs.infer({ours.inputs[0].name: x})
    for key, value in ours.infer({ours.inputs[0].name: x}).items():
        np.testing.assert_allclose(value, wanted[key], atol=2e-4)
    ours.close()
    theirs.close()
