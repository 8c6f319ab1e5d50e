from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from engines.embedder import EMBEDDER_SIZE_PX, FaceEmbedder
from engines.errors import EngineRunError
from engines.ort_engine import OrtEngine

DIM = 6
SIZE = EMBEDDER_SIZE_PX


def tiny_model(batch: int | str, *, gain: float = 3.0, size: int = SIZE) -> bytes:
    """A mean over the picture and a matrix: not normalised, like an ArcFace drop-in."""
    weights = np.random.default_rng(0).normal(size=(3, DIM)).astype(np.float32) * gain
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["input.1"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["683"]),
        ],
        "tiny",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [batch, 3, size, size])],
        [helper.make_tensor_value_info("683", TensorProto.FLOAT, [batch, DIM])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return bytes(model.SerializeToString())


def tiny_engine(batch: int | str = "N", *, gain: float = 3.0, size: int = SIZE) -> OrtEngine:
    model = tiny_model(batch, gain=gain, size=size)
    return OrtEngine(model, Path("tiny.onnx"), model_name="tiny 1", threads=1)


@pytest.fixture
def crops() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)


def test_rows_are_unit_vectors(crops: np.ndarray) -> None:
    embeddings = FaceEmbedder(tiny_engine()).embed(crops)
    assert embeddings.shape == (5, DIM)
    assert embeddings.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)


def test_mean_and_std_are_applied(crops: np.ndarray) -> None:
    weights = np.random.default_rng(0).normal(size=(3, DIM)).astype(np.float32) * 3.0
    raw = (crops.mean((1, 2)) - 100) / 50 @ weights
    expected = raw / np.linalg.norm(raw, axis=1, keepdims=True)
    got = FaceEmbedder(tiny_engine(), mean=100, std=50).embed(crops)
    np.testing.assert_allclose(got, expected, atol=2e-4)


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_a_model_of_fixed_batch_gives_the_same(batch: int, crops: np.ndarray) -> None:
    free = FaceEmbedder(tiny_engine()).embed(crops)
    fixed = FaceEmbedder(tiny_engine(batch)).embed(crops)
    np.testing.assert_allclose(fixed, free, atol=1e-5)


def test_no_crops_give_no_rows() -> None:
    empty = np.zeros((0, SIZE, SIZE, 3), np.uint8)
    assert FaceEmbedder(tiny_engine()).embed(empty).shape == (0, DIM)


def test_input_is_left_as_it_was(crops: np.ndarray) -> None:
    before = crops.copy()
    FaceEmbedder(tiny_engine()).embed(crops)
    np.testing.assert_array_equal(crops, before)


@pytest.mark.parametrize(
    "wrong",
    [
        lambda c: c.astype(np.float32),
        lambda c: c[:, :100],
        lambda c: c[0],
        lambda c: c.transpose(0, 3, 1, 2),
    ],
)
def test_wrong_crops_are_refused(
    wrong: Callable[[np.ndarray], np.ndarray], crops: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="crops"):
        FaceEmbedder(tiny_engine()).embed(wrong(crops))


def test_a_network_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="112"):
        FaceEmbedder(tiny_engine(size=96))


def test_std_must_be_positive() -> None:
    with pytest.raises(ValueError, match="std"):
        FaceEmbedder(tiny_engine(), std=0)


@pytest.mark.parametrize("gain", [0.0, float("nan")])
def test_a_vector_without_direction_is_an_error(gain: float, crops: np.ndarray) -> None:
    with pytest.raises(EngineRunError, match="direction"):
        FaceEmbedder(tiny_engine(gain=gain)).embed(crops)


def test_describes_and_warms_up_and_closes() -> None:
    embedder = FaceEmbedder(tiny_engine())
    embedder.warm_up()
    assert embedder.describe().model == "tiny 1"
    embedder.close()
