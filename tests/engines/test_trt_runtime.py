from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("onnx", reason="the fake computes with it")

from engines.errors import EngineLoadError, EngineRunError
from engines.trt_cuda import BindingsCuda
from engines.trt_runtime import make_logger, open_tensorrt
from tests.fakes.fake_cuda import FakeCuda
from tests.fakes.fake_tensorrt import make_fake_tensorrt

PATH = Path("some.onnx")


def raising(error: Exception) -> Any:  # noqa: ANN401 - an import that fails
    def import_it() -> Any:  # noqa: ANN401 - an import that fails
        raise error

    return import_it


@pytest.mark.parametrize(
    ("import_trt", "says"),
    [
        (raising(ImportError("No module named 'tensorrt'\nmore")), "not installed"),
        (raising(OSError("libnvinfer.so.10: cannot open shared object file")), "libnvinfer"),
        (raising(RuntimeError("")), "cannot load its libraries (RuntimeError)"),
        (lambda: SimpleNamespace(__version__="10.0.1"), "stub"),
        (lambda: SimpleNamespace(), "stub"),
        (lambda: make_fake_tensorrt("8.6.1"), "8.6.1 is not supported"),
        (lambda: make_fake_tensorrt("12.0.0"), "12.0.0 is not supported"),
    ],
)
def test_what_is_missing_is_one_line(import_trt: Any, says: str) -> None:  # noqa: ANN401 - an import
    with pytest.raises(EngineLoadError) as caught:
        open_tensorrt(PATH, import_trt=import_trt, import_cuda=FakeCuda)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.reason in str(caught.value)


def test_missing_bindings_are_named() -> None:
    with pytest.raises(EngineLoadError, match="pip install cuda-bindings"):
        open_tensorrt(PATH, import_trt=make_fake_tensorrt, import_cuda=raising(ImportError("x")))


def test_without_a_device_nothing_of_tensorrt_is_made() -> None:
    trt = make_fake_tensorrt(device="")
    with pytest.raises(EngineLoadError, match="no CUDA device"):
        open_tensorrt(PATH, import_trt=lambda: trt, import_cuda=lambda: FakeCuda(devices=0))
    assert trt.state.deserialized == 0
    assert trt.state.built == []


@pytest.mark.parametrize(("version", "major"), [("10.0.1", 10), ("11.4.1.2", 11)])
def test_both_versions_are_taken(version: str, major: int) -> None:
    runtime = open_tensorrt(
        PATH, import_trt=lambda: make_fake_tensorrt(version), import_cuda=FakeCuda
    )
    assert (runtime.major, runtime.version, runtime.device_name) == (major, version, "Fake GPU")


@pytest.mark.parametrize(
    "name",
    ["FP16", "INT8", "BF16", "OBEY_PRECISION_CONSTRAINTS"],
)
def test_the_fake_of_11_has_no_removed_flag(name: str) -> None:
    assert hasattr(make_fake_tensorrt("10.13.0").BuilderFlag, name)
    assert not hasattr(make_fake_tensorrt("11.0.0").BuilderFlag, name)


def test_the_fake_refuses_calls_that_are_gone() -> None:
    trt = make_fake_tensorrt("11.0.0")
    assert not hasattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH")
    logger = make_logger(trt)
    builder = trt.Builder(logger)
    config = builder.create_builder_config()
    for gone in ("int8_calibrator", "max_workspace_size"):
        with pytest.raises(AttributeError):
            setattr(config, gone, 1)
    for gone in ("build_engine", "build_cuda_engine", "platform_has_fast_fp16", "max_batch_size"):
        assert not hasattr(builder, gone)


def test_errors_of_tensorrt_are_kept() -> None:
    logger = make_logger(make_fake_tensorrt())
    logger.log(logger.Severity.INFO, "hello")
    logger.log(logger.Severity.ERROR, "broken")
    assert logger.errors == ["broken"]


class FakeBindings:
    """cuda.bindings.runtime: every call returns a tuple that begins with an error."""

    cudaStreamNonBlocking = 1  # noqa: N815 - CUDA's name
    cudaMemcpyKind = SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)  # noqa: N815 - CUDA's name

    def __init__(self, error: int = 0) -> None:
        self._error = error
        self.calls: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - any function of CUDA
        def call(*args: Any) -> tuple[Any, ...]:  # noqa: ANN401 - any function of CUDA
            self.calls.append((name, *args))
            if name == "cudaGetErrorString":
                return 0, b"out of memory"
            if self._error:
                return self._error, None
            value: Any = SimpleNamespace(name=b"Some GPU\0\0") if "Properties" in name else 7
            return (0, value) if "Memcpy" not in name else (0,)

        return call


def test_the_bindings_are_called_by_their_names() -> None:
    bindings = FakeBindings()
    cuda = BindingsCuda(bindings)
    assert cuda.device_count() == 7
    assert cuda.device_name() == "Some GPU"
    assert cuda.create_stream() == 7
    cuda.copy_to_device(1, 2, 3, 7)
    cuda.copy_to_host(2, 1, 3, 7)
    assert bindings.calls[-2:] == [
        ("cudaMemcpyAsync", 1, 2, 3, 1, 7),
        ("cudaMemcpyAsync", 2, 1, 3, 2, 7),
    ]


def test_an_error_of_cuda_is_ours() -> None:
    cuda = BindingsCuda(FakeBindings(error=2))
    assert cuda.device_count() == 0  # no driver is no device
    with pytest.raises(EngineRunError, match="cudaMalloc: out of memory"):
        cuda.allocate_device(5)


def test_the_real_bindings_have_these_functions() -> None:
    runtime = pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings not installed")
    for name in (
        "cudaGetDeviceCount", "cudaGetDeviceProperties", "cudaStreamCreateWithFlags",
        "cudaStreamDestroy", "cudaStreamSynchronize", "cudaMalloc", "cudaFree", "cudaMallocHost",
        "cudaFreeHost", "cudaMemcpyAsync", "cudaGetErrorString", "cudaStreamNonBlocking",
    ):  # fmt: skip
        assert hasattr(runtime, name)
    assert BindingsCuda(runtime).device_count() >= 0
