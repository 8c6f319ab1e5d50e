"""From ONNX to a serialised TensorRT engine, for TensorRT 10 and 11.

Version 11 has no precision flags: what is float16 or INT8 stands in the graph. In version 10 the
same holds for INT8 graphs, which are built strongly typed; for float16 its builder flag is set.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from engines.errors import EngineLoadError
from engines.trt_cache import write_atomically
from engines.trt_profile import ShapeLimits, shape_ranges
from engines.trt_runtime import TrtRuntime
from engines.types import TensorSpec

__all__ = ["FREE", "build_engine", "spec_of"]

_LOG = logging.getLogger(__name__)
_FLAGS_GONE: Final = 11  # the version that removed the precision flags
FREE: Final = -1


def spec_of(trt: Any, name: str, shape: Sequence[int], dtype: Any) -> TensorSpec:  # noqa: ANN401 - tensorrt ships no types
    """Our description of a tensor of TensorRT."""
    sizes = tuple(None if size == FREE else int(size) for size in shape)
    return TensorSpec(name, sizes, np.dtype(trt.nptype(dtype)).name)


def build_engine(
    runtime: TrtRuntime,
    logger: Any,  # noqa: ANN401 - tensorrt ships no types
    model: bytes,
    model_path: Path,
    *,
    precision: str,
    limits: ShapeLimits,
    timing_cache: Path | None,
) -> bytes:
    """Build an engine; takes minutes on a real device.

    Args:
        runtime: TensorRT and its device.
        logger: made by `make_logger`.
        model: the ONNX file's bytes.
        model_path: where they came from, for messages.
        precision: "fp32", "fp16" or "int8".
        limits: range of free sizes.
        timing_cache: file with the times of kernels measured before; made when missing.

    Raises:
        EngineLoadError: TensorRT cannot parse or build this model.
    """
    trt = runtime.trt
    builder = trt.Builder(logger)
    network = builder.create_network(_network_flags(runtime, precision))
    parser = trt.OnnxParser(network, logger)
    if not parser.parse(model):
        reason = parser.get_error(0).desc() if parser.num_errors else "no reason given"
        raise EngineLoadError(model_path, f"TensorRT cannot parse it: {_first_line(reason)}")
    config = builder.create_builder_config()
    if precision == "fp16" and runtime.major < _FLAGS_GONE:
        config.set_flag(trt.BuilderFlag.FP16)
    _add_profile(runtime, builder, network, config, limits, model_path)
    cache = _attach_timing_cache(config, timing_cache)
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        reason = logger.errors[-1] if logger.errors else "no reason given"
        raise EngineLoadError(model_path, f"TensorRT cannot build it: {_first_line(reason)}")
    if timing_cache is not None and cache is not None:
        write_atomically(timing_cache, bytes(cache.serialize()))
    return bytes(plan)


def _network_flags(runtime: TrtRuntime, precision: str) -> int:
    # Networks have an explicit batch in 10 and 11 without asking; 11 has no flag for it any more.
    if precision == "int8" and runtime.major < _FLAGS_GONE:
        return 1 << int(runtime.trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
    return 0


def _add_profile(
    runtime: TrtRuntime,
    builder: Any,  # noqa: ANN401 - tensorrt ships no types
    network: Any,  # noqa: ANN401 - tensorrt ships no types
    config: Any,  # noqa: ANN401 - tensorrt ships no types
    limits: ShapeLimits,
    model_path: Path,
) -> None:
    tensors = [network.get_input(index) for index in range(network.num_inputs)]
    specs = [spec_of(runtime.trt, t.name, tuple(t.shape), t.dtype) for t in tensors]
    ranges = shape_ranges(specs, limits, model_path)
    if not ranges:
        return
    profile = builder.create_optimization_profile()
    for item in ranges:
        profile.set_shape(item.name, item.least, item.best, item.most)
    if config.add_optimization_profile(profile) < 0:
        raise EngineLoadError(model_path, "TensorRT refuses the range of input shapes")


def _attach_timing_cache(config: Any, path: Path | None) -> Any:  # noqa: ANN401 - tensorrt ships no types
    """Start from the times measured before; what cannot be used is measured anew."""
    if path is None:
        return None
    try:
        known = path.read_bytes()
    except OSError:
        known = b""
    cache = config.create_timing_cache(known)
    if known and (cache is None or not config.set_timing_cache(cache, ignore_mismatch=False)):
        _LOG.info("timing cache %s is of another TensorRT or device; starting a new one", path)
        known, cache = b"", config.create_timing_cache(b"")
    if not known and not config.set_timing_cache(cache, ignore_mismatch=False):
        return None
    return cache


def _first_line(text: str) -> str:
    return (text.splitlines() or [""])[0]
