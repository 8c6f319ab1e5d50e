"""The face generator adapter, on a made-up engine."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from engines.arrays import AnyArray
from engines.errors import EngineRunError
from engines.generator import FaceGenerator
from engines.types import EngineInfo, TensorSpec

_SIZE = 8


class _FakeEngine:
    """Gives back the crop as the face, and a constant alpha."""

    def __init__(self, *, crop_shape: tuple[int | None, ...] = (None, 3, _SIZE, _SIZE)) -> None:
        self._crop_shape = crop_shape
        self.batches: list[int] = []
        self.lengths: list[float] = []
        self.poison = False

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        crop = TensorSpec("crop", self._crop_shape, "float32")
        return crop, TensorSpec("identity", (None, 512), "float32")

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        face = TensorSpec("face", self._crop_shape, "float32")
        return face, TensorSpec("alpha", (None, 1, _SIZE, _SIZE), "float32")

    def infer(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        crop = inputs["crop"]
        self.lengths.extend(np.linalg.norm(inputs["identity"], axis=1))
        self.batches.append(len(crop))
        alpha = np.full((len(crop), 1, _SIZE, _SIZE), np.nan if self.poison else 0.5, np.float32)
        return {"face": crop, "alpha": alpha}

    def warm_up(self) -> None:
        pass

    def describe(self) -> EngineInfo:
        return EngineInfo("fake", "cpu", "none", "generator 0", "fp32", "test")

    def close(self) -> None:
        pass


def _crops(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (count, _SIZE, _SIZE, 3)).astype(np.uint8)


def _identities(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    identities = np.zeros((count, 512), np.float32)
    identities[:, 0] = 1
    return identities


def test_pixels_survive_the_change_of_range_and_layout() -> None:
    crops = _crops(3)
    faces, alphas = FaceGenerator(_FakeEngine()).generate(crops, _identities(3))
    assert np.array_equal(faces, crops)
    assert faces.dtype == np.uint8
    assert alphas.shape == (3, _SIZE, _SIZE)
    assert np.all(alphas == 0.5)


def test_large_requests_are_split() -> None:
    engine = _FakeEngine()
    FaceGenerator(engine, max_batch=2).generate(_crops(5), _identities(5))
    assert engine.batches == [2, 2, 1]


def test_no_faces_are_no_work() -> None:
    engine = _FakeEngine()
    faces, alphas = FaceGenerator(engine).generate(_crops(0), _identities(0))
    assert engine.batches == []
    assert faces.shape == (0, _SIZE, _SIZE, 3)
    assert alphas.shape == (0, _SIZE, _SIZE)


def test_values_that_are_not_finite_are_an_error() -> None:
    engine = _FakeEngine()
    engine.poison = True
    with pytest.raises(EngineRunError):
        FaceGenerator(engine).generate(_crops(1), _identities(1))


def test_wrong_shapes_are_refused() -> None:
    generator = FaceGenerator(_FakeEngine())
    with pytest.raises(ValueError, match="identities"):
        generator.generate(_crops(2), _identities(1))
    with pytest.raises(ValueError, match="crops"):
        generator.generate(_crops(2)[:, 1:], _identities(2))


def test_other_networks_are_refused() -> None:
    with pytest.raises(ValueError, match="fixed S"):
        FaceGenerator(_FakeEngine(crop_shape=(None, 3, None, None)))


def test_warm_up_runs_once() -> None:
    engine = _FakeEngine()
    generator = FaceGenerator(engine)
    generator.warm_up()
    assert engine.batches == [1]
    assert generator.crop_size_px == _SIZE
    assert generator.describe().backend == "fake"
