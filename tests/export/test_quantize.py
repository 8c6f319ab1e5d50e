from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from export.quantize import Recipe, quantize_int8, store_fp16


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """Two convolutions: 3 to 16 to 8 channels."""
    rng = np.random.default_rng(0)
    tensors = [
        numpy_helper.from_array((rng.normal(size=(16, 3, 3, 3)) * 0.3).astype(np.float32), "w1"),
        numpy_helper.from_array(rng.normal(size=16).astype(np.float32), "b1"),
        numpy_helper.from_array((rng.normal(size=(8, 16, 3, 3)) * 0.1).astype(np.float32), "w2"),
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["x", "w1", "b1"], ["a"], name="first", pads=[1, 1, 1, 1]),
            helper.make_node("Relu", ["a"], ["b"], name="relu"),
            helper.make_node("Conv", ["b", "w2"], ["y"], name="second", pads=[1, 1, 1, 1]),
        ],
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3, 12, 12])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 8, 12, 12])],
        tensors,
    )
    path = tmp_path / "net.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    return path


def run(path: Path, x: np.ndarray) -> np.ndarray:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0])


@pytest.fixture
def x() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(4, 3, 12, 12)).astype(np.float32)


def relative_error(got: np.ndarray, wanted: np.ndarray) -> float:
    return float(np.linalg.norm(got - wanted) / np.linalg.norm(wanted))


def test_fp16_storage_keeps_the_interface_and_the_result(
    network: Path, x: np.ndarray, tmp_path: Path
) -> None:
    small = tmp_path / "small.onnx"
    store_fp16(network, small)
    assert small.stat().st_size < 0.7 * network.stat().st_size
    assert relative_error(run(small, x), run(network, x)) < 1e-3
    stored = {t.name: t.data_type for t in onnx.load(str(small)).graph.initializer}
    assert stored == {
        "w1_fp16": TensorProto.FLOAT16,
        "b1": TensorProto.FLOAT,
        "w2_fp16": TensorProto.FLOAT16,
    }


def test_fp16_storage_in_place(network: Path, x: np.ndarray) -> None:
    before = run(network, x)
    store_fp16(network, network)
    assert relative_error(run(network, x), before) < 1e-3


def test_a_weight_beyond_fp16_is_refused(network: Path, tmp_path: Path) -> None:
    model = onnx.load(str(network))
    huge = numpy_helper.to_array(model.graph.initializer[0]) * np.float32(1e6)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(huge, "w1"))
    onnx.save(model, str(network))
    with pytest.raises(ValueError, match="w1"):
        store_fp16(network, tmp_path / "small.onnx")


@pytest.mark.parametrize("stored_fp16", [False, True])
def test_int8_is_close_and_really_int8(
    network: Path, x: np.ndarray, tmp_path: Path, *, stored_fp16: bool
) -> None:
    wanted = run(network, x)
    if stored_fp16:
        store_fp16(network, network)
    small = tmp_path / "int8.onnx"
    quantize_int8(network, small, [{"x": x[:2]}, {"x": x[2:]}])
    assert relative_error(run(small, x), wanted) < 0.05
    model = onnx.load(str(small))
    weights = [t for t in model.graph.initializer if t.data_type == TensorProto.INT8 and t.dims]
    assert sum(int(np.prod(t.dims)) for t in weights) >= 16 * 27 + 8 * 144
    assert {"QuantizeLinear", "DequantizeLinear"} <= {node.op_type for node in model.graph.node}


def quantised_weights(path: Path) -> set[str]:
    """Names of the convolutions whose weights are INT8."""
    graph = onnx.load(str(path)).graph
    made = {name: node.op_type for node in graph.node for name in node.output}
    convolutions = [node for node in graph.node if node.op_type == "Conv"]
    return {node.name for node in convolutions if made.get(node.input[1]) == "DequantizeLinear"}


def test_int8_can_leave_a_node_in_float(network: Path, x: np.ndarray, tmp_path: Path) -> None:
    small = tmp_path / "int8.onnx"
    quantize_int8(network, small, [{"x": x}], recipe=Recipe(keep_float=("sec",)))
    assert quantised_weights(small) == {"first"}


def test_int8_can_keep_to_one_size_of_kernels(network: Path, x: np.ndarray, tmp_path: Path) -> None:
    model = onnx.load(str(network))
    pointwise = numpy_helper.from_array(np.eye(8, dtype=np.float32)[..., None, None], "w3")
    model.graph.initializer.append(pointwise)
    model.graph.node.append(helper.make_node("Conv", ["y", "w3"], ["z"], name="third"))
    model.graph.output[0].name = "z"
    onnx.save(model, str(network))
    small = tmp_path / "int8.onnx"
    quantize_int8(network, small, [{"x": x}], recipe=Recipe(("Conv",), (3, 3)))
    assert quantised_weights(small) == {"first", "second"}
    wanted = run(network, x)
    assert relative_error(run(small, x), wanted) < 0.05


def test_int8_activations_are_what_the_back_end_takes(
    network: Path, x: np.ndarray, tmp_path: Path
) -> None:
    kinds = {}
    for for_tensorrt in (False, True):
        small = tmp_path / "int8.onnx"
        quantize_int8(network, small, [{"x": x}], for_tensorrt=for_tensorrt)
        graph = onnx.load(str(small)).graph
        tensors = {t.name: t for t in graph.initializer}
        points = [tensors[n.input[2]] for n in graph.node if n.op_type == "QuantizeLinear"]
        kinds[for_tensorrt] = {point.data_type for point in points}
        if for_tensorrt:
            assert all(not numpy_helper.to_array(point).any() for point in points)
    assert kinds == {False: {TensorProto.UINT8}, True: {TensorProto.INT8}}


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        (Recipe(keep_float=("/to_rgb",)), "no node's name begins with /to_rgb"),
        (Recipe(("Conv",), (5, 5)), "no node is left"),
    ],
)
def test_a_recipe_for_another_network_is_refused(
    network: Path, x: np.ndarray, tmp_path: Path, recipe: Recipe, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        quantize_int8(network, tmp_path / "int8.onnx", [{"x": x}], recipe=recipe)


def test_weights_that_float16_would_change_can_be_left_alone(network: Path, tmp_path: Path) -> None:
    model = onnx.load(str(network))
    exact = numpy_helper.to_array(model.graph.initializer[0]).astype(np.float16).astype(np.float32)
    model.graph.initializer[0].CopyFrom(numpy_helper.from_array(exact, "w1"))
    onnx.save(model, str(network))
    store_fp16(network, tmp_path / "small.onnx", only_exact=True)
    stored = {t.name for t in onnx.load(str(tmp_path / "small.onnx")).graph.initializer}
    assert stored == {"w1_fp16", "b1", "w2"}
