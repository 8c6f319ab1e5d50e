"""The running half of the fake `tensorrt`: an engine and its context, computed by ONNX Runtime."""
# ruff: noqa: ANN401 - as untyped as the module that it stands for

from __future__ import annotations

import ctypes
import enum
import json
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort

__all__ = ["MAGIC", "NUMPY", "Engine", "Mode", "Tensor"]

MAGIC = b"fake engine\n"
NUMPY: dict[int, np.dtype[Any]] = {
    1: np.dtype(np.float32),
    10: np.dtype(np.float16),
    7: np.dtype(np.int64),
}


class Mode(enum.Enum):
    NONE = 0
    INPUT = 1
    OUTPUT = 2


class Tensor:
    __slots__ = ("dtype", "name", "shape")

    def __init__(self, info: Any) -> None:
        kind = info.type.tensor_type
        self.name = info.name
        self.shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in kind.shape.dim)
        self.dtype = kind.elem_type


class Engine:
    __slots__ = ("_head", "_session", "_tensors")

    def __init__(self, plan: bytes) -> None:
        head, _, model = plan.removeprefix(MAGIC).partition(b"\n")
        self._head = json.loads(head)
        graph = onnx.load_from_string(model).graph
        self._tensors = [(Tensor(i), Mode.INPUT) for i in graph.input]
        self._tensors += [(Tensor(o), Mode.OUTPUT) for o in graph.output]
        self._session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])

    @property
    def num_io_tensors(self) -> int:
        return len(self._tensors)

    def _find(self, name: str) -> tuple[Tensor, Mode]:
        return next(item for item in self._tensors if item[0].name == name)

    def get_tensor_name(self, index: int) -> str:
        return str(self._tensors[index][0].name)

    def get_tensor_mode(self, name: str) -> Mode:
        return self._find(name)[1]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        return self._find(name)[0].shape

    def get_tensor_dtype(self, name: str) -> int:
        return int(self._find(name)[0].dtype)

    def get_tensor_profile_shape(self, name: str, profile_index: int) -> list[tuple[int, ...]]:
        assert profile_index == 0
        return [tuple(shape) for shape in self._head["shapes"][name]]

    def create_execution_context(self) -> _Context:
        return _Context(self)


class _Context:
    __slots__ = ("_addresses", "_engine", "_shapes")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._addresses: dict[str, int] = {}

    def set_input_shape(self, name: str, shape: Any) -> bool:
        self._shapes[name] = tuple(shape)
        return True

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def _inputs(self) -> list[Tensor]:
        return [tensor for tensor, mode in self._engine._tensors if mode is Mode.INPUT]

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        feeds = {t.name: np.zeros(self._shapes[t.name], NUMPY[t.dtype]) for t in self._inputs()}
        return tuple(self._engine._session.run([name], feeds)[0].shape)

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert isinstance(stream_handle, int)
        feeds = {}
        for tensor in self._inputs():
            dtype, shape = NUMPY[tensor.dtype], self._shapes[tensor.name]
            size_bytes = int(np.prod(shape)) * dtype.itemsize
            data = ctypes.string_at(self._addresses[tensor.name], size_bytes)
            feeds[tensor.name] = np.frombuffer(data, dtype).reshape(shape)
        names = [o.name for o in self._engine._session.get_outputs()]
        for name, value in zip(names, self._engine._session.run(names, feeds), strict=True):
            ctypes.memmove(self._addresses[name], value.tobytes(), value.nbytes)
        return True
