"""A module that looks like `tensorrt` 10 or 11, written from NVIDIA's public API pages.

What a version does not have raises AttributeError, as in the real module: 11 has no precision
flags, no EXPLICIT_BATCH and no calibrators, and neither has bindings by index. Networks are
computed by ONNX Runtime, from and to the addresses that the context was given.
"""

# ruff: noqa: ANN401 - as untyped as the module that it stands for

from __future__ import annotations

import enum
import json
from types import SimpleNamespace
from typing import Any

import onnx

from tests.fakes.fake_tensorrt_engine import MAGIC, NUMPY, Engine, Mode, Tensor

__all__ = ["make_fake_tensorrt"]


class _Severity(enum.IntEnum):
    INTERNAL_ERROR = 0
    ERROR = 1
    WARNING = 2
    INFO = 3
    VERBOSE = 4


class _Logger:
    """trt.ILogger; its constructor must be called by name, as pybind11 demands."""

    Severity = _Severity

    def __init__(self) -> None:
        self._is_made = True

    def log(self, severity: Any, msg: str) -> None:
        raise NotImplementedError


class _HostMemory:
    """trt.IHostMemory: only the buffer protocol, and its size."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __buffer__(self, flags: int) -> memoryview:
        return memoryview(self._data)

    def __bytes__(self) -> bytes:
        return self._data


class _Network:
    __slots__ = ("flags", "graph", "model")

    def __init__(self, flags: int) -> None:
        self.flags = flags
        self.model = b""
        self.graph: Any = None

    @property
    def num_inputs(self) -> int:
        return len(self.graph.input)

    def get_input(self, index: int) -> Tensor:
        return Tensor(self.graph.input[index])


class _Profile:
    __slots__ = ("shapes",)

    def __init__(self) -> None:
        self.shapes: dict[str, list[list[int]]] = {}

    def set_shape(self, input: str, min: Any, opt: Any, max: Any) -> None:
        self.shapes[input] = [list(min), list(opt), list(max)]


class _TimingCache:
    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def serialize(self) -> _HostMemory:
        return _HostMemory(self.data + b"t")


class _Config:
    __slots__ = ("_device", "cache", "flags", "profiles")

    def __init__(self, device: str) -> None:
        self._device = device
        self.flags: set[Any] = set()
        self.profiles: list[_Profile] = []
        self.cache: _TimingCache | None = None

    def set_flag(self, flag: Any) -> None:
        self.flags.add(flag)

    def add_optimization_profile(self, profile: _Profile) -> int:
        for least, best, most in profile.shapes.values():
            if not all(a <= b <= c for a, b, c in zip(least, best, most, strict=True)):
                return -1
        self.profiles.append(profile)
        return len(self.profiles) - 1

    def create_timing_cache(self, serialized_timing_cache: bytes) -> _TimingCache | None:
        return _TimingCache(serialized_timing_cache or self._device.encode() + b":")

    def set_timing_cache(self, cache: _TimingCache, ignore_mismatch: bool) -> bool:
        if not cache.data.startswith(self._device.encode()) and not ignore_mismatch:
            return False
        self.cache = cache
        return True


class _Builder:
    __slots__ = ("_logger",)

    def __init__(self, logger: _Logger) -> None:
        assert logger._is_made
        assert self._fake_state.devices, "a builder without a device crashes the process"
        self._logger = logger

    _fake_state: SimpleNamespace

    def create_network(self, flags: int = 0) -> _Network:
        return _Network(flags)

    def create_builder_config(self) -> _Config:
        return _Config(self._fake_state.device)

    def create_optimization_profile(self) -> _Profile:
        return _Profile()

    def build_serialized_network(self, network: _Network, config: _Config) -> _HostMemory | None:
        state = self._fake_state
        free = [i.name for i in network.graph.input if -1 in Tensor(i).shape]
        shapes = config.profiles[0].shapes if config.profiles else {}
        if set(free) - set(shapes):
            text = "Network has dynamic or shape inputs, but no optimization profile"
            self._logger.log(_Severity.ERROR, text)
            return None
        state.built.append((network, config))
        head = json.dumps({"version": state.version, "shapes": shapes}).encode()
        return _HostMemory(MAGIC + head + b"\n" + network.model)


class _ParserError:
    __slots__ = ()

    def desc(self) -> str:
        return "Failed to parse ONNX model from a buffer\nsecond line"


class _Parser:
    __slots__ = ("_network", "num_errors")

    def __init__(self, network: _Network, logger: _Logger) -> None:
        self._network = network
        self.num_errors = 0

    def parse(self, model: bytes) -> bool:
        try:
            self._network.graph = onnx.load_from_string(model).graph
        except Exception:  # protobuf's error is not public
            self.num_errors = 1
            return False
        self._network.model = model
        return True

    def get_error(self, index: int) -> _ParserError:
        assert index < self.num_errors
        return _ParserError()


def make_fake_tensorrt(version: str = "10.13.3.9", *, device: str = "Fake GPU") -> Any:
    """A module of this version; `state` tells what was built and deserialised.

    Args:
        version: what `__version__` says; 10 and 11 differ in what they have.
        device: the device that timing caches belong to; empty for none.
    """
    state = SimpleNamespace(
        version=version, device=device, devices=int(bool(device)), built=[], deserialized=0
    )

    class Runtime:
        __slots__ = ()

        def __init__(self, logger: _Logger) -> None:
            assert state.devices, "a runtime without a device crashes the process"

        def deserialize_cuda_engine(self, serialized_engine: bytes) -> Engine | None:
            state.deserialized += 1
            return Engine(serialized_engine) if serialized_engine.startswith(MAGIC) else None

    is_old = version.startswith("10.")
    flags = ["TF32", "REFIT", "DISABLE_TIMING_CACHE", "STRIP_PLAN"]
    flags += ["FP16", "INT8", "BF16", "OBEY_PRECISION_CONSTRAINTS"] if is_old else []
    creation = ["EXPLICIT_BATCH", "STRONGLY_TYPED"] if is_old else ["STRONGLY_TYPED"]
    return SimpleNamespace(
        __version__=version,
        ILogger=_Logger,
        Builder=type("Builder", (_Builder,), {"_fake_state": state}),
        OnnxParser=_Parser,
        Runtime=Runtime,
        TensorIOMode=Mode,
        BuilderFlag=enum.Enum("BuilderFlag", flags),
        NetworkDefinitionCreationFlag=enum.IntEnum(
            "NetworkDefinitionCreationFlag", creation, start=0 if is_old else 1
        ),
        nptype=lambda dtype: NUMPY[dtype],
        state=state,
    )
