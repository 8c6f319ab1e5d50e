from __future__ import annotations

import math
from collections.abc import Mapping

import cv2
import numpy as np
import pytest

from engines.arrays import AnyArray
from engines.errors import EngineLoadError
from engines.landmarks import (
    CROP_PX,
    LandmarkRefiner,
    crop_matrix,
    grey_crop,
    upright_matrix,
)
from engines.types import Detections, EngineInfo, TensorSpec


class BrightSpots:
    """Stands for the network: five spots of known brightness are its landmarks."""

    def __init__(self, *, width: int = 10) -> None:
        self.inputs = (TensorSpec("input", (None, 1, CROP_PX, CROP_PX), "float32"),)
        self.outputs = (TensorSpec("points", (None, width), "float32"),)
        self.seen: list[AnyArray] = []

    def infer(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        batch = inputs["input"]
        self.seen.append(batch)
        points = np.zeros((len(batch), 5, 2), np.float32)
        for crop, target in zip(batch[:, 0], points, strict=True):
            for index in range(5):
                near = np.abs((crop + 1) * 127.5 - (100 + 30 * index)) < 6
                y, x = np.nonzero(near)
                target[index] = [np.median(x), np.median(y)] if len(x) else [0, 0]
        return {"points": (points / (CROP_PX / 2) - 1).reshape(-1, 10)}

    def warm_up(self) -> None: ...

    def describe(self) -> EngineInfo:
        return EngineInfo("fake", "cpu", "cpu", "spots", "fp32", "test")

    def close(self) -> None: ...


def spots(size_hw: tuple[int, int], points: np.ndarray, *, radius: int) -> np.ndarray:
    luma = np.zeros(size_hw, np.uint8)
    for index, (x, y) in enumerate(points):
        cv2.circle(luma, (round(float(x)), round(float(y))), radius, 100 + 30 * index, -1)
    return luma


def found(box: list[float]) -> Detections:
    return Detections(
        np.array([box], np.float32), np.zeros((1, 5, 2), np.float32), np.ones(1, np.float32)
    )


@pytest.mark.parametrize("angle_deg", [0, 40, -40])
def test_points_come_back_in_frame_pixels_and_heads_are_seen_upright(angle_deg: int) -> None:
    middle = np.array([150.0, 120.0])
    upright = np.array([[-25, -20], [25, -20], [0, 0], [-20, 25], [20, 25]])
    angle = math.radians(angle_deg)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    points = upright @ turn.T + middle
    engine = BrightSpots()
    luma = spots((240, 300), points, radius=10)
    refined = LandmarkRefiner(engine).refine(luma, found([90, 60, 210, 180]))
    assert np.abs(refined.landmarks_px[0] - points).max() < 3
    second = engine.seen[1][0, 0]
    left, right = (
        float(np.median(np.nonzero(np.abs((second + 1) * 127.5 - v) < 6)[0])) for v in (100, 130)
    )
    assert abs(left - right) < 2  # the eyes are level at the second look


@pytest.mark.parametrize("angle_deg", [0, 70, -170])
def test_an_upright_crop_undoes_place_turn_and_size(angle_deg: int) -> None:
    upright = np.array([[-25, -29], [25, -29], [0, 0], [-20, 29], [20, 29]])
    angle = math.radians(angle_deg)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    points = (upright @ turn.T + (150, 120)).astype(np.float32)
    matrix = upright_matrix(points, np.array([90, 60, 210, 180], np.float32))
    seen = points @ matrix[:, :2].T + matrix[:, 2]
    expected = upright * (22.5 / 50) + CROP_PX / 2
    assert np.abs(seen - expected).max() < 0.6


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((5, 2)),
        np.full((5, 2), 9e3),
        np.array([[0, 0], [900, 0], [450, 9], [0, 9], [9, 9]]),
    ],
)
def test_wild_points_do_not_lead_the_second_look_astray(points: np.ndarray) -> None:
    box = np.array([100, 100, 200, 200], np.float32)
    matrix = upright_matrix(points.astype(np.float32), box)
    scale = math.sqrt(float(np.linalg.det(matrix[:, :2])))
    by_box = math.sqrt(float(np.linalg.det(crop_matrix(box)[:, :2])))
    assert 0.79 * by_box <= scale <= 1.81 * by_box
    middle = np.linalg.solve(matrix[:, :2], CROP_PX / 2 - matrix[:, 2])
    assert (middle >= box[:2] - 1e-3).all()
    assert (middle <= box[2:] + 1e-3).all()


def test_shrunk_crops_keep_their_place() -> None:
    luma = np.zeros((600, 600), np.uint8)
    luma[298:302, :] = 255  # through the middle of the box
    matrix = crop_matrix(np.array([100, 100, 500, 500], np.float32))
    rows = grey_crop(luma, matrix).astype(float).sum(1)
    assert abs((rows * np.arange(CROP_PX)).sum() / rows.sum() - CROP_PX / 2) < 0.1


def test_nothing_found_costs_nothing() -> None:
    engine = BrightSpots()
    LandmarkRefiner(engine).refine(np.zeros((10, 10), np.uint8), Detections.empty())
    assert engine.seen == []


def test_doubtful_faces_keep_their_points() -> None:
    engine = BrightSpots()
    luma = np.zeros((240, 300), np.uint8)
    refined = LandmarkRefiner(engine).refine(luma, found([9, 6, 21, 18]), least_score=1.5)
    assert (refined.landmarks_px == 0).all()
    assert engine.seen == []


def test_other_networks_are_refused() -> None:
    with pytest.raises(EngineLoadError, match="landmark refiner"):
        LandmarkRefiner(BrightSpots(width=136))
