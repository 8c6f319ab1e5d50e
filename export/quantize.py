"""Smaller variants of any ONNX model: float16 weight storage and INT8 (QDQ).

`store_fp16` halves the file and changes nothing else: weights are stored as float16 and widened to
float32 when the model is loaded, so speed and accuracy stay those of float32. `quantize_int8`
quantises weights and activations, with calibration pictures that the caller provides.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    CalibrationMethod,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

__all__ = ["quantize_int8", "store_fp16"]

# Below this a tensor is not worth a Cast node.
_SMALLEST: Final = 256
# From the restrictions that onnx-tensorrt lists for (De)QuantizeLinear.
_TENSORRT_ON: Final = ("ActivationSymmetric", "WeightSymmetric", "AddQDQPairToWeight")
_TENSORRT_OFF: Final = ("QuantizeBias",)
_FP16_MAX: Final = float(np.finfo(np.float16).max)


def store_fp16(source: Path, target: Path) -> None:
    """Write a copy of a float32 model whose big weights are stored as float16.

    Every such weight is followed by a Cast to float32, which ONNX Runtime folds away while it
    loads the model. Inputs, outputs and arithmetic stay float32.

    Args:
        source: float32 ONNX file.
        target: file to write; may be the same as `source`.

    Raises:
        ValueError: a weight does not fit in float16.
    """
    model = onnx.load(str(source))
    graph = model.graph
    casts = []
    for tensor in graph.initializer:
        if tensor.data_type != onnx.TensorProto.FLOAT:
            continue
        values = numpy_helper.to_array(tensor)
        if values.size < _SMALLEST:
            continue
        if np.abs(values).max() > _FP16_MAX:
            raise ValueError(f"{source.name}: weight {tensor.name} does not fit in float16")
        name = tensor.name
        half = f"{name}_fp16"
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), half))
        casts.append(
            onnx.helper.make_node(
                "Cast", [half], [name], name=f"{name}_widen", to=onnx.TensorProto.FLOAT
            )
        )
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    onnx.checker.check_model(model)
    onnx.save(model, str(target))


def quantize_int8(
    source: Path,
    target: Path,
    batches: Iterable[Mapping[str, NDArray[Any]]],
    *,
    keep_float: Sequence[str] = (),
    for_tensorrt: bool = False,
) -> None:
    """Write an INT8 variant in QDQ form: signed weights by channel, signed activations.

    Args:
        source: float32 ONNX file (not one of `store_fp16`).
        target: file to write.
        batches: inputs by name, as the model is fed; a few dozen typical pictures are enough.
        keep_float: names of nodes that stay float32, such as the last layer.
        for_tensorrt: keep to what TensorRT takes: zero points of zero, float32 biases, and weights
            as float32 with a pair of nodes. The ranges of activations are a little worse for it.
    """
    options = dict.fromkeys(_TENSORRT_ON, True) | dict.fromkeys(_TENSORRT_OFF, False)
    with TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            _Reader(batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_exclude=list(keep_float),
            op_types_to_quantize=["Conv", "Gemm", "MatMul", "Add"],
            extra_options=options if for_tensorrt else {},
        )


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Hands batches to ONNX Runtime one by one."""

    def __init__(self, batches: Iterable[Mapping[str, NDArray[Any]]]) -> None:
        self._batches: Iterator[Mapping[str, NDArray[Any]]] = iter(batches)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next batch, or None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else dict(batch)
