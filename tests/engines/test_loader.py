"""Which back end is taken, with TensorRT's modules faked where they are imported."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="builds a tiny model")

from engines.errors import EngineLoadError  # noqa: E402 - after the skip
from engines.loader import load_engine  # noqa: E402 - after the skip
from engines.manifest import ModelManifest  # noqa: E402 - after the skip
from engines.trt_cuda import BindingsCuda  # noqa: E402 - after the skip
from tests.engines.test_trt_engine import pooling_model  # noqa: E402 - after the skip
from tests.fakes.fake_cuda import FakeCuda  # noqa: E402 - after the skip
from tests.fakes.fake_tensorrt import make_fake_tensorrt  # noqa: E402 - after the skip


@pytest.fixture
def manifest(tmp_path: Path) -> ModelManifest:
    data = pooling_model()
    path = tmp_path / "pool.onnx"
    path.write_bytes(data)
    digest = hashlib.sha256(data).hexdigest()
    return ModelManifest("pool", "1", path, digest, 127.5, 127.5, extra={"precision": "fp32"})


def _done(function: Callable[..., None]) -> Callable[..., tuple[int]]:
    """A call of the bindings that gives an error code and nothing else."""

    def call(*args: int) -> tuple[int]:
        function(*args)
        return (0,)

    return call


def _as_bindings(cuda: FakeCuda) -> Any:  # noqa: ANN401 - a module
    """The module cuda.bindings.runtime over a fake device."""

    def copy(target: int, source: int, size: int, kind: int, stream: int) -> tuple[int]:
        way = cuda.copy_to_device if kind == 1 else cuda.copy_to_host
        way(target, source, size, stream)
        return (0,)

    return SimpleNamespace(
        cudaStreamNonBlocking=1,
        cudaMemcpyKind=SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2),
        cudaGetDeviceCount=lambda: (0, cuda.device_count()),
        cudaGetDeviceProperties=lambda _: (0, SimpleNamespace(name=cuda.name.encode())),
        cudaStreamCreateWithFlags=lambda _: (0, cuda.create_stream()),
        cudaStreamDestroy=_done(cuda.destroy_stream),
        cudaStreamSynchronize=_done(cuda.synchronize),
        cudaMalloc=lambda size: (0, cuda.allocate_device(size)),
        cudaFree=_done(cuda.free_device),
        cudaMallocHost=lambda size: (0, cuda.allocate_pinned(size)),
        cudaFreeHost=_done(cuda.free_pinned),
        cudaMemcpyAsync=copy,
    )


def _install(monkeypatch: pytest.MonkeyPatch, trt: Any, cuda: FakeCuda) -> None:  # noqa: ANN401 - a module
    package = ModuleType("cuda")
    bindings = ModuleType("cuda.bindings")
    for name, module in (
        ("tensorrt", trt), ("cuda", package), ("cuda.bindings", bindings),
        ("cuda.bindings.runtime", _as_bindings(cuda)),
    ):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, module)


@pytest.mark.parametrize("provider", ["auto", "tensorrt"])
def test_tensorrt_is_taken_where_it_can_run(
    monkeypatch: pytest.MonkeyPatch,
    manifest: ModelManifest,
    tmp_path: Path,
    provider: Any,  # noqa: ANN401 - the literal's values
) -> None:
    _install(monkeypatch, make_fake_tensorrt(), FakeCuda())
    engine = load_engine(manifest, provider=provider, cache_folder=tmp_path / "cache")
    x = np.ones((2, 3, 64, 64), np.float32)
    np.testing.assert_allclose(engine.infer({"x": x})["mean"], 1)
    info = engine.describe()
    assert info.backend == "tensorrt"
    assert info.reason.startswith("auto: the first" if provider == "auto" else "asked for")
    assert list((tmp_path / "cache").glob("pool-fp32-*.engine"))
    engine.close()


def test_auto_without_a_device_says_why_it_took_the_cpu(
    monkeypatch: pytest.MonkeyPatch, manifest: ModelManifest
) -> None:
    _install(monkeypatch, make_fake_tensorrt(device=""), FakeCuda(devices=0))
    info = load_engine(manifest, provider="auto").describe()
    if info.provider == "cpu":
        assert "no CUDA device" in info.reason
        assert "no cuda: CUDAExecutionProvider" in info.reason
    with pytest.raises(EngineLoadError, match="no CUDA device"):
        load_engine(manifest, provider="tensorrt")


def test_auto_goes_on_when_tensorrt_cannot_build(
    monkeypatch: pytest.MonkeyPatch, manifest: ModelManifest, tmp_path: Path
) -> None:
    trt = make_fake_tensorrt()
    trt.Builder.build_serialized_network = lambda *_: None
    _install(monkeypatch, trt, FakeCuda())
    info = load_engine(manifest, cache_folder=tmp_path).describe()
    assert info.backend == "onnxruntime"
    assert "no tensorrt: TensorRT cannot build it" in info.reason


def test_a_stub_wheel_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, manifest: ModelManifest
) -> None:
    _install(monkeypatch, ModuleType("tensorrt"), FakeCuda())
    with pytest.raises(EngineLoadError, match="stub without its libraries") as caught:
        load_engine(manifest, provider="tensorrt")
    assert "\n" not in str(caught.value)


def test_openvino_that_is_missing_is_one_clear_line(
    monkeypatch: pytest.MonkeyPatch, manifest: ModelManifest
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(EngineLoadError, match="OpenVINO is not installed") as caught:
        load_engine(manifest, provider="openvino")
    assert "\n" not in str(caught.value)


def test_an_unknown_provider_is_misuse(manifest: ModelManifest) -> None:
    with pytest.raises(ValueError, match="known are auto, cpu"):
        load_engine(manifest, provider="tpu")  # type: ignore[arg-type]  # on purpose


def test_the_bindings_are_what_the_runtime_uses() -> None:
    assert isinstance(BindingsCuda(_as_bindings(FakeCuda())).device_name(), str)
