"""Branches: the same values, and only the wanted branch is computed."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from engines.arrays import AnyArray
from export.branches import branch_off


def choosing_model(*, same_condition: bool = True) -> onnx.ModelProto:
    """Rows of `x` with a positive sum get x * 3 + 1, the others x - 1; `y` is chosen likewise."""
    nodes = [
        helper.make_node("Cast", ["factor.stored"], ["factor"], to=TensorProto.FLOAT),
        helper.make_node("ReduceSum", ["x", "axis"], ["sum"], keepdims=1),
        helper.make_node("Greater", ["sum", "zero"], ["chosen"]),
        helper.make_node("Sub", ["x", "one"], ["less"]),
        helper.make_node("Mul", ["x", "factor"], ["scaled"]),
        helper.make_node("Add", ["scaled", "one"], ["more"]),
        helper.make_node("Where", ["chosen", "more", "less"], ["a"]),
        helper.make_node("Where", ["chosen", "scaled", "x"], ["b"]),
    ]
    if not same_condition:
        nodes.insert(-1, helper.make_node("Not", ["chosen"], ["unlike"]))
        nodes[-1].input[0] = "unlike"
    tensors = {
        "factor.stored": np.array([3.0], np.float16),
        "axis": np.array([1], np.int64),
        "zero": np.array([0.0], np.float32),
        "one": np.array([1.0], np.float32),
    }
    graph = helper.make_graph(
        nodes,
        "choosing",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 2])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 2]) for name in "ab"],
        [numpy_helper.from_array(value, name) for name, value in tensors.items()],
    )
    opsets = [helper.make_opsetid("", 17)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def run(model: onnx.ModelProto, x: AnyArray) -> list[AnyArray]:
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return [np.asarray(value) for value in session.run(None, {"x": x})]


@pytest.mark.parametrize("signs", [(1, 1), (-1, -1), (1, -1)], ids=["all", "none", "mixed"])
def test_values_stay(signs: tuple[int, int]) -> None:
    model = choosing_model()
    x = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32) * np.array(signs, np.float32)[:, None]
    for old, new in zip(run(model, x), run(branch_off(model), x), strict=True):
        np.testing.assert_array_equal(new, old)


def test_what_the_second_choice_does_not_need_moves_into_the_branch() -> None:
    branched = branch_off(choosing_model())
    onnx.checker.check_model(branched, full_check=True)
    outside = [node.op_type for node in branched.graph.node]
    assert "Mul" not in outside
    assert "Add" not in outside
    assert outside.count("If") == 1
    branches = {item.name: item.g for item in branched.graph.node[-1].attribute}
    assert [n.op_type for n in branches["then_branch"].node] == ["Mul", "Add", "Where", "Where"]
    assert [n.op_type for n in branches["else_branch"].node] == ["Identity", "Identity"]


def test_the_model_is_left_alone_and_keeps_its_weights() -> None:
    model = choosing_model()
    before = model.SerializeToString()
    branched = branch_off(model)
    assert model.SerializeToString() == before
    names = [tensor.name for tensor in branched.graph.initializer]
    assert names == ["factor.stored", "axis", "zero", "one"]


def test_other_graphs_are_refused() -> None:
    with pytest.raises(ValueError, match="different conditions"):
        branch_off(choosing_model(same_condition=False))
    plain = choosing_model()
    del plain.graph.output[:]
    plain.graph.output.append(helper.make_tensor_value_info("less", TensorProto.FLOAT, ["n", 2]))
    with pytest.raises(ValueError, match="must be a Where"):
        branch_off(plain)
