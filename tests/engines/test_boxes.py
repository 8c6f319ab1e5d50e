from __future__ import annotations

import numpy as np
import pytest

from engines.boxes import decode_stride, iou_matrix, nms
from engines.errors import EngineRunError


def test_decode_places_the_box_at_the_origin_of_its_cell() -> None:
    scores = np.zeros(12, np.float32)
    scores[7] = 0.9  # row 1, column 3 of a grid of four columns
    distances = np.tile(np.array([1.0, 2.0, 3.0, 4.0], np.float32), (12, 1))
    offsets = np.tile(np.arange(10, dtype=np.float32) / 10, (12, 1))
    boxes, points, kept = decode_stride(
        scores, distances, offsets, stride_px=8, columns=4, anchors=1, threshold=0.5
    )
    np.testing.assert_allclose(boxes, [[24 - 8, 8 - 16, 24 + 24, 8 + 32]])
    np.testing.assert_allclose(points[0, 0], [24.0, 8 + 0.8], rtol=1e-6)
    np.testing.assert_allclose(kept, [0.9], rtol=1e-6)


def test_two_anchors_share_a_cell() -> None:
    scores = np.zeros(8, np.float32)
    scores[[4, 5]] = 0.8  # both anchors of cell 2: row 1, column 0 of two columns
    boxes, _, _ = decode_stride(
        scores,
        np.ones((8, 4), np.float32),
        np.zeros((8, 10), np.float32),
        stride_px=16,
        columns=2,
        anchors=2,
        threshold=0.5,
    )
    np.testing.assert_allclose(boxes, [[-16, 0, 16, 32]] * 2)


def test_overlap_of_known_boxes() -> None:
    first = np.array([[0, 0, 10, 10]], np.float32)
    second = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]], np.float32)
    np.testing.assert_allclose(iou_matrix(first, second), [[1.0, 1 / 3, 0.0]], rtol=1e-6)


def test_nms_keeps_the_strongest_of_duplicates_and_all_others() -> None:
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [40, 40, 50, 50]], np.float32)
    kept = nms(boxes, np.array([0.6, 0.9, 0.7], np.float32), iou_threshold=0.4)
    assert kept.tolist() == [1, 2]


def test_nms_drops_boxes_that_are_no_boxes() -> None:
    boxes = np.array([[0, 0, 10, 10], [5, 5, 5, 9], [np.nan, 0, 1, 1]], np.float32)
    kept = nms(boxes, np.array([0.5, 0.9, 0.8], np.float32), iou_threshold=0.4)
    assert kept.tolist() == [0]


@pytest.mark.parametrize("count", [0, 1])
def test_nms_of_few(count: int) -> None:
    boxes = np.array([[0, 0, 4, 4]], np.float32)[:count]
    assert len(nms(boxes, np.ones(count, np.float32), iou_threshold=0.4)) == count


@pytest.mark.parametrize("broken", ["scores", "distances"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_broken_network_is_not_a_picture_without_faces(broken: str, value: float) -> None:
    arrays = {
        "scores": np.array([0.1, 0.9, 0.1, 0.1], np.float32),
        "distances": np.ones((4, 4), np.float32),
        "offsets": np.zeros((4, 10), np.float32),
    }
    arrays[broken][1] = value
    with pytest.raises(EngineRunError, match="not finite"):
        decode_stride(**arrays, stride_px=8, columns=2, anchors=1, threshold=0.5)
