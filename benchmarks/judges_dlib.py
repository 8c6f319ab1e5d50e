"""dlib's recogniser on ONNX Runtime: the same answers for a fifteenth of the processor time.

dlib's wheels come without BLAS and take 80 ms of processor time a face. Its weights file is a
list of tensors in the order of the network; its layers are those of dlib's published face
recognition example: a residual network of 29 convolutions on 150 px, whose batch normalisation
was folded into scales and offsets.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

from benchmarks.clips import BenchmarkError
from engines.arrays import Float32Array, UInt8Array

__all__ = ["DlibNetwork", "tensors_of"]

_MEAN_RGB: Final = (122.782, 117.001, 104.298)
_SCALE: Final = 256.0
_CHIP_PX: Final = 150
_MAX_VALUES: Final = 1 << 22
_BATCH: Final = 16
# Filters of each residual block and whether it halves the picture, from input to output.
_BLOCKS: Final = (
    *[(32, False)] * 3,
    *[(64, True), *[(64, False)] * 3],
    *[(128, True), *[(128, False)] * 2],
    *[(256, True), *[(256, False)] * 2],
    (256, True),
)
_DESCRIPTOR: Final = (256, 128)


def _integer(data: bytes, at: int) -> tuple[int, int] | None:
    """Dlib's integers: a byte with sign and length, then little-endian bytes; value and end."""
    control = data[at]
    length = control & 0x0F
    if control & 0x70 or not 0 < length <= 8:
        return None
    value = int.from_bytes(data[at + 1 : at + 1 + length], "little")
    return (-value if control & 0x80 else value), at + 1 + length


def _tensor_at(data: bytes, at: int) -> tuple[Float32Array, int] | None:
    """A tensor that begins here (version 2, four sizes, little-endian floats) and its end."""
    numbers = []
    for _ in range(5):
        found = _integer(data, at)
        if found is None:
            return None
        numbers.append(found[0])
        at = found[1]
    count = int(np.prod([max(0, n) for n in numbers[1:]], dtype=np.int64))
    if numbers[0] != 2 or not 8 <= count <= _MAX_VALUES or at + 4 * count > len(data):
        return None
    values = np.frombuffer(data, "<f4", count, at)
    if not np.isfinite(values).all() or not 1e-8 < float(np.abs(values).max()) < 1e3:
        return None
    return values.reshape(numbers[1], -1).astype(np.float32), at + 4 * count


def tensors_of(data: bytes) -> Iterator[Float32Array]:
    """The trained tensors of a dlib network file, from input to output; (N, K) each."""
    at = 0
    while at < len(data) - 16:
        found = _tensor_at(data, at) if data[at : at + 2] == b"\x01\x02" else None
        if found is None:
            at += 1
        else:
            yield found[0]
            at = found[1]


class DlibNetwork:
    """The network of `dlib_face_recognition_resnet_model_v1.dat`.

    Args:
        path: that file.

    Raises:
        BenchmarkError: the file holds another network.
    """

    def __init__(self, path: Path) -> None:
        model = _Graph(list(tensors_of(path.read_bytes()))).model()
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        self._net: Any = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def embed(self, chips: UInt8Array) -> Float32Array:
        """Face chips (N, 150, 150, 3) uint8 RGB to descriptors (N, 128)."""
        values = (chips.astype(np.float32) - np.array(_MEAN_RGB, np.float32)) / _SCALE
        values = np.ascontiguousarray(values.transpose(0, 3, 1, 2))
        parts = [
            self._net.run(None, {"chip": values[i : i + _BATCH]})[0]
            for i in range(0, len(values), _BATCH)
        ]
        return np.concatenate(parts) if parts else np.zeros((0, _DESCRIPTOR[1]), np.float32)


class _Graph:
    """Puts the network together from its tensors."""

    def __init__(self, tensors: list[Float32Array]) -> None:
        self._tensors = iter(tensors)
        self._nodes: list[Any] = []
        self._weights: list[Any] = []
        self._count = 0

    def model(self) -> Any:  # noqa: ANN401 - onnx has no types
        x = self._relu(self._convolution("chip", 3, 32, side=7, stride=2, pad=0))
        x = self._add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2])
        channels, size = 32, 35
        for filters, is_down in _BLOCKS:
            x, size = self._block(x, channels, filters, size, is_down=is_down)
            channels = filters
        x = self._add("Flatten", [self._add("GlobalAveragePool", [x])])
        last = self._take(_DESCRIPTOR)
        self._add("MatMul", [x, self._weight(last)], output="descriptor")
        if next(self._tensors, None) is not None:
            raise BenchmarkError("the dlib file holds more tensors than the known network has")
        shape = ["n", 3, _CHIP_PX, _CHIP_PX]
        graph = helper.make_graph(
            self._nodes,
            "dlib",
            [helper.make_tensor_value_info("chip", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info("descriptor", TensorProto.FLOAT, ["n", 128])],
            self._weights,
        )
        opset = [helper.make_opsetid("", 17)]
        return helper.make_model(graph, opset_imports=opset, ir_version=8)

    def _block(
        self, x: str, before: int, filters: int, size: int, *, is_down: bool
    ) -> tuple[str, int]:
        stride, pad = (2, 0) if is_down else (1, 1)
        y = self._relu(self._convolution(x, before, filters, side=3, stride=stride, pad=pad))
        y = self._convolution(y, filters, filters, side=3, stride=1, pad=1)
        if is_down:
            # Pooling keeps a row that the convolution loses at even sizes; dlib pads with zeros.
            inner, pooled = (size - 3) // 2 + 1, (size - 2) // 2 + 1
            x = self._add("AveragePool", [x], kernel_shape=[2, 2], strides=[2, 2])
            size = max(inner, pooled)
            y = self._padded(y, 0, size - inner)
            x = self._padded(x, filters - before, size - pooled)
        return self._relu(self._add("Add", [x, y])), size

    def _padded(self, x: str, channels: int, rows: int) -> str:
        if not channels and not rows:
            return x
        pads = np.array([0, 0, 0, 0, 0, channels, rows, rows], np.int64)
        return self._add("Pad", [x, self._weight(pads)])

    def _convolution(
        self, x: str, before: int, filters: int, *, side: int, stride: int, pad: int
    ) -> str:
        """A convolution with its scale and offset (dlib's affine layer) folded in."""
        values = self._take((filters * (before * side * side + 1), 1)).ravel()
        kernel = values[:-filters].reshape(filters, before, side, side)
        gamma, beta = self._take((2 * filters, 1)).ravel().reshape(2, filters)
        weights = [kernel * gamma[:, None, None, None], values[-filters:] * gamma + beta]
        names = [self._weight(value) for value in weights]
        return self._add(
            "Conv", [x, *names], kernel_shape=[side, side], strides=[stride] * 2, pads=[pad] * 4
        )

    def _relu(self, x: str) -> str:
        return self._add("Relu", [x])

    def _take(self, shape: tuple[int, int]) -> Float32Array:
        found = next(self._tensors, None)
        if found is None or found.shape != shape:
            raise BenchmarkError("the dlib file does not hold the known face recognition network")
        return found

    def _weight(self, values: np.ndarray) -> str:
        self._count += 1
        name = f"w{self._count}"
        self._weights.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def _add(self, kind: str, inputs: list[str], *, output: str = "", **settings: Any) -> str:  # noqa: ANN401
        self._count += 1
        name = output or f"x{self._count}"
        self._nodes.append(helper.make_node(kind, inputs, [name], **settings))
        return name
