from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="builds tiny models")

from engines.errors import EngineLoadError, EngineRunError  # noqa: E402 - after the skip
from engines.ort_engine import OrtEngine  # noqa: E402 - after the skip
from engines.trt_cache import EngineCache  # noqa: E402 - after the skip
from engines.trt_engine import TrtEngine  # noqa: E402 - after the skip
from engines.trt_profile import ShapeLimits  # noqa: E402 - after the skip
from engines.trt_runtime import open_tensorrt  # noqa: E402 - after the skip
from tests.fakes.fake_cuda import FakeCuda  # noqa: E402 - after the skip
from tests.fakes.fake_tensorrt import make_fake_tensorrt  # noqa: E402 - after the skip

PATH = Path("tiny.onnx")
VERSIONS = ("10.13.3.9", "11.4.1.2")


def pooling_model(shape: tuple[int | str, ...] = ("N", 3, "H", "W")) -> bytes:
    """Pools a picture by 32, and gives its mean, from one input to two outputs."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node(
                "AveragePool", ["x"], ["map"], kernel_shape=[32, 32], strides=[32] * 2
            ),
            helper.make_node("GlobalAveragePool", ["x"], ["mean"]),
        ],
        "pooling",
        [helper.make_tensor_value_info("x", kind, shape)],
        [
            helper.make_tensor_value_info("map", kind, ["N", 3, "h", "w"]),
            helper.make_tensor_value_info("mean", kind, ["N", 3, 1, 1]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def _free_matrix_model() -> bytes:
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "free",
        [helper.make_tensor_value_info("x", kind, ["N", "M"])],
        [helper.make_tensor_value_info("y", kind, ["N", "M"])],
    )
    return bytes(helper.make_model(graph).SerializeToString())


class Bench:
    """A fake TensorRT with its fake device."""

    def __init__(self, version: str = VERSIONS[0], *, devices: int = 1) -> None:
        self.cuda = FakeCuda(devices=devices)
        self.trt = make_fake_tensorrt(version, device="Fake GPU" if devices else "")

    def open(self, model: bytes | None = None, **options: Any) -> TrtEngine:  # noqa: ANN401 - handed on
        runtime = open_tensorrt(PATH, import_trt=lambda: self.trt, import_cuda=lambda: self.cuda)
        return TrtEngine(
            pooling_model() if model is None else model,
            PATH,
            runtime=runtime,
            model_name="tiny 1",
            **options,
        )


def pictures(count: int, *, size_hw: tuple[int, int] = (64, 96)) -> np.ndarray:
    return np.random.default_rng(count).random((count, 3, *size_hw), np.float32)


@pytest.mark.parametrize("version", VERSIONS)
def test_gives_what_onnx_runtime_gives(version: str) -> None:
    bench = Bench(version)
    engine = bench.open()
    reference = OrtEngine(pooling_model(), PATH, model_name="tiny 1", threads=1)
    engine.warm_up()
    for count, size_hw in ((1, (64, 96)), (4, (96, 64)), (2, (32, 32))):
        x = pictures(count, size_hw=size_hw)
        got, wanted = engine.infer({"x": x}), reference.infer({"x": x})
        assert list(got) == ["map", "mean"]
        for name, value in wanted.items():
            np.testing.assert_allclose(got[name], value, rtol=1e-6)
    assert engine.inputs[0].shape == (None, 3, None, None)
    info = engine.describe()
    assert (info.backend, info.provider) == ("tensorrt", "tensorrt")
    assert "Fake GPU" in info.device
    assert version in info.device


def test_outputs_belong_to_the_caller() -> None:
    engine = Bench().open()
    first = engine.infer({"x": pictures(1)})["mean"]
    before = first.copy()
    engine.infer({"x": pictures(2)})
    np.testing.assert_array_equal(first, before)


def test_a_batch_beyond_the_profile_is_split() -> None:
    engine = Bench().open(limits=ShapeLimits(max_batch=4))
    x = pictures(11, size_hw=(32, 32))
    np.testing.assert_allclose(
        engine.infer({"x": x})["mean"][:, :, 0, 0], x.mean((2, 3)), rtol=1e-4
    )


@pytest.mark.parametrize("size_hw", [(16, 32), (32, 2048)])
def test_a_size_beyond_the_profile_is_named(size_hw: tuple[int, int]) -> None:
    with pytest.raises(EngineRunError, match="outside the range"):
        Bench().open().infer({"x": pictures(1, size_hw=size_hw)})


def test_wrong_feeds_are_refused() -> None:
    engine = Bench().open()
    with pytest.raises(EngineRunError, match="expects inputs x"):
        engine.infer({"y": pictures(1)})
    with pytest.raises(EngineRunError, match="must be"):
        engine.infer({"x": pictures(1).astype(np.float64)})


def test_fixed_shapes_need_no_profile() -> None:
    bench = Bench()
    engine = bench.open(pooling_model((1, 3, 64, 64)))
    engine.warm_up()
    assert bench.trt.state.built[0][1].profiles == []


def test_precision_is_a_flag_in_10_and_the_graph_in_11() -> None:
    for version, precision, flags, network in (
        (VERSIONS[0], "fp32", set(), 0),
        (VERSIONS[0], "fp16", {"FP16"}, 0),
        (VERSIONS[0], "int8", set(), 2),
        (VERSIONS[1], "fp16", set(), 0),
        (VERSIONS[1], "int8", set(), 0),
    ):
        bench = Bench(version)
        bench.open(precision=precision)
        built, config = bench.trt.state.built[0]
        assert {flag.name for flag in config.flags} == flags
        assert built.flags == network


def test_several_threads_get_their_own_results() -> None:
    engine = Bench().open()
    feeds = [pictures(1 + i % 3, size_hw=(32, 32)) for i in range(12)]
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda x: engine.infer({"x": x})["mean"], feeds))
    for x, mean in zip(feeds, results, strict=True):
        np.testing.assert_allclose(mean[:, :, 0, 0], x.mean((2, 3)), rtol=1e-4)


def test_close_gives_everything_back() -> None:
    bench = Bench()
    engine = bench.open()
    engine.infer({"x": pictures(2)})
    assert bench.cuda.memory
    engine.close()
    engine.close()
    assert not bench.cuda.memory
    assert not bench.cuda.streams
    with pytest.raises(EngineRunError, match="closed"):
        engine.infer({"x": pictures(2)})


def test_rubbish_and_unbuildable_models_are_load_errors() -> None:
    with pytest.raises(EngineLoadError, match="cannot parse it: Failed to parse") as caught:
        Bench().open(b"rubbish")
    assert "\n" not in str(caught.value)
    with pytest.raises(EngineLoadError, match="axis 1 of input x is free"):
        Bench().open(_free_matrix_model())


def test_a_built_engine_is_used_again(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path / "new")
    first, second = Bench(), Bench()
    first.open(cache=cache)
    engine = second.open(cache=cache)
    assert len(first.trt.state.built) == 1
    assert second.trt.state.built == []
    engine.warm_up()
    assert list(tmp_path.glob("new/timing-*.cache"))


@pytest.mark.parametrize("change", ["version", "device", "precision", "limits", "model"])
def test_any_difference_builds_anew(tmp_path: Path, change: str) -> None:
    cache = EngineCache(tmp_path)
    Bench().open(cache=cache)
    bench = Bench(VERSIONS[1] if change == "version" else VERSIONS[0])
    if change == "device":
        bench.cuda.name = "Other GPU"
        bench.trt = make_fake_tensorrt(device="Other GPU")
    options: dict[str, Any] = {"precision": "fp16"} if change == "precision" else {}
    if change == "limits":
        options["limits"] = ShapeLimits(max_batch=2)
    model = pooling_model(("N", 3, 64, 64)) if change == "model" else None
    bench.open(model, cache=cache, **options)
    assert len(bench.trt.state.built) == 1


def test_a_damaged_engine_never_reaches_tensorrt(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    Bench().open(cache=cache)
    (path,) = tmp_path.glob("*.engine")
    path.write_bytes(path.read_bytes()[:-5])
    bench = Bench()
    bench.open(cache=cache).warm_up()
    assert len(bench.trt.state.built) == 1
    assert bench.trt.state.deserialized == 1  # only the new one


def test_a_foreign_timing_cache_is_replaced(tmp_path: Path) -> None:
    cache = EngineCache(tmp_path)
    Bench().open(cache=cache)
    (timing,) = tmp_path.glob("timing-*.cache")
    timing.write_bytes(b"another device")
    for engine in tmp_path.glob("*.engine"):
        engine.unlink()
    bench = Bench()
    bench.open(cache=cache)
    assert bench.trt.state.built[0][1].cache.data.startswith(b"Fake GPU")
    assert timing.read_bytes().startswith(b"Fake GPU")


def test_a_cache_that_cannot_be_written_is_only_slower(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    Bench().open(cache=EngineCache(tmp_path / "file" / "below")).warm_up()
