"""TensorRT backend, versions 10 and 11."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from engines.arrays import AnyArray
from engines.errors import EngineLoadError, EngineRunError
from engines.feeds import check_feeds
from engines.trt_buffers import BufferPair
from engines.trt_build import FREE, build_engine, spec_of
from engines.trt_cache import EngineCache, EngineKey
from engines.trt_profile import ShapeLimits
from engines.trt_runtime import TrtRuntime, make_logger
from engines.types import EngineInfo, TensorSpec

__all__ = ["TrtEngine"]


class TrtEngine:
    """A network in TensorRT on the first CUDA device.

    May be called from several threads; calls wait for each other, since one execution context runs
    one call at a time.

    Args:
        model: the ONNX file's bytes.
        model_path: where they came from, for messages.
        runtime: TensorRT and a device that was seen, from `open_tensorrt`.
        model_name: name and version, for `describe`.
        precision: "fp32", "fp16" or "int8"; see `engines.trt_build`.
        limits: range of free sizes.
        cache: where built engines are kept; None builds anew each time.
        reason: why this provider was chosen, for `describe`.

    Raises:
        EngineLoadError: TensorRT cannot build or load the model.
    """

    def __init__(
        self,
        model: bytes,
        model_path: Path,
        *,
        runtime: TrtRuntime,
        model_name: str,
        precision: str = "fp32",
        limits: ShapeLimits | None = None,
        cache: EngineCache | None = None,
        reason: str = "asked for",
    ) -> None:
        self._lock = threading.Lock()
        self._cuda, self._trt = runtime.cuda, runtime.trt
        self._logger = make_logger(runtime.trt)
        self._engine = self._open(
            runtime, model, model_path, precision, limits or ShapeLimits(), cache
        )
        self._context: Any = self._engine.create_execution_context()
        if self._context is None:
            raise EngineLoadError(model_path, "TensorRT has no memory for an execution context")
        self.inputs, self.outputs = self._read_tensors()
        self._ranges = self._read_ranges()
        self._buffers = {spec.name: BufferPair(self._cuda) for spec in self._specs()}
        self._stream = self._cuda.create_stream()
        self._info = EngineInfo(
            "tensorrt",
            "tensorrt",
            f"{runtime.device_name}, TensorRT {runtime.version}",
            model_name,
            precision,
            reason,
        )

    def _open(
        self,
        runtime: TrtRuntime,
        model: bytes,
        model_path: Path,
        precision: str,
        limits: ShapeLimits,
        cache: EngineCache | None,
    ) -> Any:  # noqa: ANN401 - tensorrt ships no types
        """Load the stored engine, or build and store it."""
        key = EngineKey(
            model_path.stem,
            hashlib.sha256(model).hexdigest(),
            runtime.device_name,
            runtime.version,
            precision,
            limits,
        )
        self._runtime = self._trt.Runtime(self._logger)
        plan = None if cache is None else cache.load(key)
        engine = None if plan is None else self._runtime.deserialize_cuda_engine(plan)
        if engine is not None:
            return engine
        plan = build_engine(
            runtime,
            self._logger,
            model,
            model_path,
            precision=precision,
            limits=limits,
            timing_cache=None if cache is None else cache.timing_file(key),
        )
        engine = self._runtime.deserialize_cuda_engine(plan)
        if engine is None:
            raise EngineLoadError(model_path, "TensorRT cannot load the engine that it built")
        if cache is not None:
            cache.store(key, plan)
        return engine

    def _read_tensors(self) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
        engine = self._engine
        inputs: list[TensorSpec] = []
        outputs: list[TensorSpec] = []
        for index in range(engine.num_io_tensors):
            name = engine.get_tensor_name(index)
            shape = tuple(engine.get_tensor_shape(name))
            spec = spec_of(self._trt, name, shape, engine.get_tensor_dtype(name))
            is_input = engine.get_tensor_mode(name) == self._trt.TensorIOMode.INPUT
            (inputs if is_input else outputs).append(spec)
        return tuple(inputs), tuple(outputs)

    def _read_ranges(self) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
        """Least and most shape of every input."""
        ranges = {}
        for spec in self.inputs:
            fixed = tuple(size for size in spec.shape if size is not None)
            least = most = fixed
            if len(fixed) < len(spec.shape):
                least, _, most = self._engine.get_tensor_profile_shape(spec.name, 0)
            ranges[spec.name] = tuple(least), tuple(most)
        return ranges

    def _specs(self) -> tuple[TensorSpec, ...]:
        return (*self.inputs, *self.outputs)

    def infer(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Run the network; see `engines.protocols.Engine`.

        A batch that is larger than the engine was built for is split.
        """
        check_feeds(self._info.model, self.inputs, inputs)
        with self._lock:
            if self._context is None:
                raise EngineRunError(f"{self._info.model}: the engine is closed")
            step = self._most_per_call(inputs)
            if step is None:
                return self._run(inputs)
            count = len(next(iter(inputs.values())))
            parts = [
                self._run({name: array[start : start + step] for name, array in inputs.items()})
                for start in range(0, count, step)
            ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _most_per_call(self, inputs: Mapping[str, AnyArray]) -> int | None:
        """Rows of a part, when the batch has to be split."""
        free = [spec.name for spec in self.inputs if spec.shape and spec.shape[0] is None]
        most = min((self._ranges[name][1][0] for name in free), default=None)
        if most is None or len(free) < len(self.inputs) or len(inputs[free[0]]) <= most:
            return None
        return most

    def _run(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        for name, array in inputs.items():
            self._set_input(name, np.ascontiguousarray(array))
        shapes = {spec.name: self._prepare_output(spec) for spec in self.outputs}
        if not self._context.execute_async_v3(stream_handle=self._stream):
            raise EngineRunError(f"{self._info.model}: TensorRT failed{self._last_error()}")
        for spec in self.outputs:
            size_bytes = int(np.prod(shapes[spec.name])) * np.dtype(spec.dtype).itemsize
            self._buffers[spec.name].download(size_bytes, self._stream)
        self._cuda.synchronize(self._stream)
        return {
            spec.name: self._buffers[spec.name].take(shapes[spec.name], spec.dtype)
            for spec in self.outputs
        }

    def _set_input(self, name: str, array: AnyArray) -> None:
        least, most = self._ranges[name]
        sizes = zip(least, array.shape, most, strict=True)
        if not all(low <= size <= high for low, size, high in sizes) or (
            not self._context.set_input_shape(name, array.shape)
        ):
            raise EngineRunError(
                f"{self._info.model}: input {name} of shape {array.shape} is outside the range "
                f"{least} to {most} that the TensorRT engine was built for"
            )
        buffer = self._buffers[name]
        buffer.upload(array, self._stream)
        self._context.set_tensor_address(name, buffer.device_address)

    def _prepare_output(self, spec: TensorSpec) -> tuple[int, ...]:
        shape = tuple(int(size) for size in self._context.get_tensor_shape(spec.name))
        if FREE in shape:
            raise EngineRunError(f"{self._info.model}: the shape of {spec.name} depends on data")
        buffer = self._buffers[spec.name]
        buffer.reserve(int(np.prod(shape)) * np.dtype(spec.dtype).itemsize)
        self._context.set_tensor_address(spec.name, buffer.device_address)
        return shape

    def _last_error(self) -> str:
        return f": {self._logger.errors[-1].splitlines()[0]}" if self._logger.errors else ""

    def warm_up(self) -> None:
        """Run once on zeros of the smallest allowed size."""
        self.infer(
            {spec.name: np.zeros(self._ranges[spec.name][0], spec.dtype) for spec in self.inputs}
        )

    def describe(self) -> EngineInfo:
        """What runs here."""
        return self._info

    def close(self) -> None:
        """Release memory, stream, context and engine, in this order."""
        with self._lock:
            if self._context is None:
                return
            for buffer in self._buffers.values():
                buffer.release()
            self._cuda.destroy_stream(self._stream)
            self._context = self._engine = self._runtime = None
