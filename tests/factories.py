"""Objects for tests: frames, planned faces, generated faces, and engines that compute nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np

from engines.arrays import AnyArray, Float64Array
from engines.types import EngineInfo, TensorSpec
from streamer.aligner import similarity_from_landmarks, template_px
from streamer.frames import ColorSpec, Frame, GeneratedFace
from streamer.plan import PlannedFace

CROP_PX = 160


def make_frame(
    *,
    size_hw: tuple[int, int] = (240, 320),
    index: int = 0,
    seed: int = 7,
    value: int | None = None,
) -> Frame:
    """A frame of noise, or of one value."""
    height, width = size_hw
    shape = (height * 3 // 2, width)
    if value is None:
        pixels = np.random.default_rng(seed).integers(20, 235, shape, np.uint8)
    else:
        pixels = np.full(shape, value, np.uint8)
    return Frame(pixels, ColorSpec(matrix=6), index * 2, Fraction(1, 50), index)


def transform_at(centre_xy: tuple[float, float], face_px: float) -> Float64Array:
    """frame_from_crop of an upright face."""
    points = template_px(CROP_PX)
    scale = face_px / 90.0
    placed = (points - np.array([80.0, 92.0])) * scale + np.array(centre_xy)
    return similarity_from_landmarks(placed.astype(np.float32), CROP_PX)


def make_planned(
    *,
    track_id: int = 1,
    centre_xy: tuple[float, float] = (160.0, 120.0),
    face_px: float = 80.0,
    fill: bool = False,
) -> PlannedFace:
    """A planned face with its box around it."""
    x, y = centre_xy
    half = face_px / 2
    box = np.array([x - half, y - half * 1.2, x + half, y + half * 1.2], np.float32)
    matrix = None if fill else transform_at(centre_xy, face_px)
    return PlannedFace(
        track_id=track_id,
        identity_id=track_id,
        box_xyxy_px=box,
        frame_from_crop=matrix,
        is_coasting=False,
        action="fill" if fill else "replace",
    )


def make_generated(face: PlannedFace, *, value: int = 200, mask: float = 1.0) -> GeneratedFace:
    """A synthetic face of one colour for a planned one."""
    assert face.frame_from_crop is not None
    return GeneratedFace(
        face.track_id,
        np.full((CROP_PX, CROP_PX, 3), value, np.uint8),
        np.full((CROP_PX, CROP_PX), mask, np.float32),
        face.frame_from_crop,
    )


class FakeEngine:
    """An engine that answers with a function of its inputs."""

    def __init__(
        self,
        inputs: tuple[TensorSpec, ...],
        outputs: tuple[TensorSpec, ...],
        answer: Callable[[Mapping[str, AnyArray]], dict[str, AnyArray]],
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._answer = answer
        self.calls = 0

    def infer(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        self.calls += 1
        return self._answer(inputs)

    def warm_up(self) -> None:
        self.calls += 0

    def describe(self) -> EngineInfo:
        return EngineInfo("fake", "cpu", "cpu", "fake 1", "fp32", "test")

    def close(self) -> None:
        self.calls = 0


def generator_engine(answer: Callable[[Mapping[str, AnyArray]], dict[str, AnyArray]]) -> FakeEngine:
    """An engine with a generator's inputs and outputs."""
    size = CROP_PX
    return FakeEngine(
        (
            TensorSpec("crop", (None, 3, size, size), "float32"),
            TensorSpec("identity", (None, 512), "float32"),
        ),
        (
            TensorSpec("face", (None, 3, size, size), "float32"),
            TensorSpec("alpha", (None, 1, size, size), "float32"),
        ),
        answer,
    )


def inverting(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """A generator's answer: the negative of the crop, everywhere."""
    crop = inputs["crop"]
    return {"face": -crop, "alpha": np.ones_like(crop[:, :1])}
