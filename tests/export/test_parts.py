"""Parts: E_attr and G one after the other give what the fused graph gives."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.arrays import AnyArray
from export.parts import ATTRIBUTES, SYNTHESIS, split_generator


def fused_model(*, mixes: bool = True) -> onnx.ModelProto:
    """face = crop + (2 * crop) * sum(identity); alpha = the sigmoid of crop."""
    nodes = [
        helper.make_node("Cast", ["two.stored"], ["two"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["crop", "two"], ["attribute"]),
        helper.make_node("ReduceSum", ["identity", "axis"], ["total"], keepdims=1),
        helper.make_node("Reshape", ["total", "shape"], ["style"]),
        helper.make_node("Mul", ["attribute" if mixes else "two", "style"], ["styled"]),
        helper.make_node("Add", ["crop", "styled"], ["face"]),
        helper.make_node("Sigmoid", ["crop"], ["alpha"]),
    ]
    tensors = {
        "two.stored": np.array([2.0], np.float16),
        "axis": np.array([1], np.int64),
        "shape": np.array([-1, 1, 1, 1], np.int64),
    }
    crop = ["n", 3, 4, 4]
    infos = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("crop", crop), ("identity", ["n", 8]), ("face", crop), ("alpha", crop))
    ]
    initialisers = [numpy_helper.from_array(value, name) for name, value in tensors.items()]
    graph = helper.make_graph(nodes, "fused", infos[:2], infos[2:], initialisers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def run(model: onnx.ModelProto, feed: dict[str, AnyArray]) -> dict[str, AnyArray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    wanted = {item.name: feed[item.name] for item in session.get_inputs()}
    return dict(zip(names, session.run(names, wanted), strict=True))


def test_both_parts_give_what_the_whole_gives() -> None:
    model = fused_model()
    first, second = split_generator(model)
    for part in (first, second):
        onnx.checker.check_model(part, full_check=True)
    assert (first.graph.name, second.graph.name) == (ATTRIBUTES, SYNTHESIS)
    rng = np.random.default_rng(3)
    feed = {
        "crop": rng.normal(size=(2, 3, 4, 4)).astype(np.float32),
        "identity": rng.normal(size=(2, 8)).astype(np.float32),
    }
    attributes = run(first, feed)
    assert list(attributes) == ["attribute"]
    got = run(second, {**feed, **attributes})
    for name, value in run(model, feed).items():
        np.testing.assert_array_equal(got[name], value)


def test_each_part_holds_only_its_own_nodes() -> None:
    first, second = split_generator(fused_model())
    assert [node.op_type for node in first.graph.node] == ["Cast", "Mul"]
    assert [item.name for item in first.graph.input] == ["crop"]
    assert [item.name for item in second.graph.input] == ["attribute", "crop", "identity"]
    assert "two.stored" not in {tensor.name for tensor in second.graph.initializer}


def test_other_graphs_are_refused() -> None:
    with pytest.raises(ValueError, match="acts on no attribute"):
        split_generator(fused_model(mixes=False))
    plain = fused_model()
    plain.graph.input[0].name = "picture"
    with pytest.raises(ValueError, match="takes crop and identity"):
        split_generator(plain)
