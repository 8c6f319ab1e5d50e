"""What onnx-tensorrt's published list of operators says of our graphs; no parser ran on them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from engines.manifest import WEIGHTS_FOLDER, load_manifest
from engines.model_names import MODEL_NAMES
from export.variants import write_variant
from tests.export.test_verify import embedding_model

# Those of onnx-tensorrt's docs/operators.md that our exporters use, with their restrictions.
# GridSample is in newer editions only: it came with TensorRT 8.5.
SUPPORTED = {
    "Add", "ArgMax", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant",
    "ConstantOfShape", "Conv", "DepthToSpace", "DequantizeLinear", "Div", "Exp", "Expand",
    "Flatten", "Gather", "Gemm", "GlobalAveragePool", "Greater", "GridSample", "Identity",
    "LeakyRelu", "MatMul", "Max", "Min", "Mul", "Neg", "Pad", "Pow", "QuantizeLinear",
    "ReduceMax", "ReduceMean", "ReduceSum", "Relu", "Reshape", "Resize", "Shape", "Sigmoid",
    "Slice", "Softmax", "Softplus", "SpaceToDepth", "Split", "Sqrt", "Squeeze", "Sub", "Tanh",
    "Transpose", "Unsqueeze", "Where",
}  # fmt: skip
RESIZE = {
    "coordinate_transformation_mode": {"half_pixel", "pytorch_half_pixel", "asymmetric"},
    "mode": {"nearest", "linear"},
}


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_shipped_graphs_use_listed_operators(name: str) -> None:
    if not (WEIGHTS_FOLDER / f"{name}.json").exists():
        pytest.skip("weights not built")
    manifest = load_manifest(WEIGHTS_FOLDER / f"{name}.json")
    if manifest.version == "dev":
        pytest.skip("a stand-in, not a model that ships")
    graph = onnx.load(str(manifest.path)).graph
    assert {node.op_type for node in graph.node} <= SUPPORTED
    for node in graph.node:
        if node.op_type == "Resize":
            for item in node.attribute:
                if item.name in RESIZE:
                    assert item.s.decode() in RESIZE[item.name]


def test_int8_graphs_keep_to_the_restrictions(tmp_path: Path) -> None:
    manifest = embedding_model(tmp_path / "tiny.onnx")
    rng = np.random.default_rng(0)
    feeds = [{"input": rng.normal(size=(1, 3, 16, 16)).astype(np.float32)}]
    path = tmp_path / "int8.onnx"
    write_variant(manifest, path, "int8-tensorrt", feeds)
    graph = onnx.load(str(path)).graph
    tensors = {t.name: numpy_helper.to_array(t) for t in graph.initializer}
    nodes = [n for n in graph.node if n.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert nodes
    for node in nodes:
        point = tensors[node.input[2]]
        assert point.dtype == np.int8
        assert not point.any()
