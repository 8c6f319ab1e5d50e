"""Smaller variants of any ONNX model: float16 weight storage and INT8 (QDQ).

`store_fp16` halves the file and changes nothing else: weights are stored as float16 and widened to
float32 when the model is loaded, so speed and accuracy stay those of float32. `quantize_int8`
quantises weights and activations, with calibration pictures that the caller provides; what it
quantises is chosen for each network (`recipe_for`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
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

__all__ = ["Recipe", "quantize_int8", "recipe_for", "store_fp16"]

# Below this a tensor is not worth a Cast node.
_SMALLEST: Final = 256
# From the restrictions that onnx-tensorrt lists for (De)QuantizeLinear.
_TENSORRT_ON: Final = ("ActivationSymmetric", "WeightSymmetric", "AddQDQPairToWeight")
_TENSORRT_OFF: Final = ("QuantizeBias",)
_FP16_MAX: Final = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True)
class Recipe:
    """What of a network is quantised.

    Attributes:
        operators: kinds of nodes.
        kernel_hw: only convolutions with kernels of this size; None: any size.
        keep_float: how the names of nodes begin that stay float32.
    """

    operators: tuple[str, ...] = ("Conv", "Gemm", "MatMul", "Add")
    kernel_hw: tuple[int, int] | None = None
    keep_float: tuple[str, ...] = ()


# The generator: its sums and products of attributes need more than eight bits (27 dB with all of
# them quantised, 45 dB without), 1x1 convolutions are slower quantised, the last layer makes the
# picture, and errors of landmarks move the face (docs/decisions/0062). The detector: its 1x1
# convolutions and sums save nothing, and its scores come out of them.
_RECIPES: Final = {
    "detector": Recipe(("Conv",), (3, 3)),
    "generator": Recipe(("Conv",), (3, 3), ("/to_rgb", "/landmarks")),
}


def recipe_for(name: str) -> Recipe:
    """What is quantised of a shipped network, by the name in its manifest."""
    return _RECIPES.get(name, Recipe())


def store_fp16(source: Path, target: Path, *, only_exact: bool = False) -> None:
    """Write a copy of a float32 model whose big weights are stored as float16.

    Every such weight is followed by a Cast to float32, which ONNX Runtime folds away while it
    loads the model. Inputs, outputs and arithmetic stay float32.

    Args:
        source: float32 ONNX file.
        target: file to write; may be the same as `source`.
        only_exact: leave weights alone that float16 would change.

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
        half_values = _half(values)
        if only_exact and (half_values is None or (half_values != values).any()):
            continue
        if half_values is None:
            raise ValueError(f"{source.name}: weight {tensor.name} does not fit in float16")
        name = tensor.name
        half = f"{name}_fp16"
        tensor.CopyFrom(numpy_helper.from_array(half_values, half))
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


def _half(values: NDArray[Any]) -> NDArray[np.float16] | None:
    """The nearest float16 values, None if one is beyond them."""
    return None if np.abs(values).max() > _FP16_MAX else values.astype(np.float16)


def quantize_int8(
    source: Path,
    target: Path,
    batches: Iterable[Mapping[str, NDArray[Any]]],
    *,
    recipe: Recipe | None = None,
    for_tensorrt: bool = False,
) -> None:
    """Write an INT8 variant in QDQ form: signed weights by channel, unsigned activations.

    Args:
        source: float32 ONNX file, whatever its weights are stored as.
        target: file to write.
        batches: inputs by name, as the model is fed; a few typical pictures are enough.
        recipe: what is quantised; None: all products and sums.
        for_tensorrt: keep to what TensorRT takes: signed activations with zero points of zero,
            float32 biases, and weights as float32 with a pair of nodes. The ranges of activations
            are a little worse for it.

    Raises:
        ValueError: the recipe speaks of nodes that the network does not have.
    """
    options = dict.fromkeys(_TENSORRT_ON, True) | dict.fromkeys(_TENSORRT_OFF, False)
    recipe = recipe or Recipe()
    with TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        quantize_static(
            str(prepared),
            str(target),
            _Reader(batches),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QInt8 if for_tensorrt else QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            nodes_to_quantize=_chosen(onnx.load(str(prepared)).graph, recipe),
            op_types_to_quantize=list(recipe.operators),
            extra_options=options if for_tensorrt else {},
        )
    if not for_tensorrt:  # which wants weights that are plain constants before their pair of nodes
        store_fp16(target, target, only_exact=True)


def _chosen(graph: Any, recipe: Recipe) -> list[str]:  # noqa: ANN401 - onnx protos are untyped
    """Names of the nodes that are quantised."""
    names = [node.name for node in graph.node]
    for start in recipe.keep_float:
        # A layer that got another name would be quantised without a word.
        if not any(name.startswith(start) for name in names):
            raise ValueError(f"no node's name begins with {start}, which was to stay float32")
    kernels = {tensor.name: tuple(tensor.dims[2:]) for tensor in graph.initializer}
    chosen = [
        node.name
        for node in graph.node
        if node.op_type in recipe.operators
        and not node.name.startswith(recipe.keep_float)
        and (recipe.kernel_hw is None or kernels.get(node.input[1]) == recipe.kernel_hw)
    ]
    if not chosen:
        raise ValueError("no node is left to quantise")
    return chosen


class _Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
    """Hands batches to ONNX Runtime one by one."""

    def __init__(self, batches: Iterable[Mapping[str, NDArray[Any]]]) -> None:
        self._batches: Iterator[Mapping[str, NDArray[Any]]] = iter(batches)

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        """The next batch, or None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else dict(batch)
