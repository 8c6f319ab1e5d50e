from __future__ import annotations

import numpy as np
import pytest

from streamer.association import box_overlaps, box_sides_px, contained_ratios, match_boxes
from tests.streamer.scenes import face_box


def boxes(*rows: tuple[float, float, float, float]) -> np.ndarray:
    return np.array(rows, np.float32).reshape(-1, 4)


def test_overlap_and_containment() -> None:
    first, second = boxes((0, 0, 10, 10)), boxes((0, 0, 10, 10), (5, 0, 15, 10), (20, 0, 30, 10))
    np.testing.assert_allclose(box_overlaps(first, second), [[1, 1 / 3, 0]])
    np.testing.assert_allclose(contained_ratios(first, boxes((5, -50, 80, 90))), [[0.5]])
    assert box_overlaps(boxes(), second).shape == (0, 3)
    assert box_sides_px(boxes((3, 3, 3, 3)))[0] > 0


def test_prefers_the_pairing_that_is_best_as_a_whole() -> None:
    expected = np.stack([face_box(100, 100), face_box(140, 100)])
    found = np.stack([face_box(138, 100), face_box(175, 100)])
    pairs = match_boxes(
        expected, found, gates=np.array([0.7, 0.7]), min_iou=0.2, max_size_ratio=1.8
    )
    assert sorted(pairs) == [(0, 0), (1, 1)]


@pytest.mark.parametrize(
    ("x", "size", "is_pair"), [(120, 80, True), (180, 80, False), (105, 30, False)]
)
def test_refuses_far_and_unlike_boxes(x: float, size: float, is_pair: bool) -> None:
    pairs = match_boxes(
        face_box(100, 100)[None],
        face_box(x, 100, size)[None],
        gates=np.array([0.6]),
        min_iou=0.2,
        max_size_ratio=1.8,
    )
    assert bool(pairs) is is_pair
