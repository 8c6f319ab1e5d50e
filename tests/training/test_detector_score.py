from __future__ import annotations

import numpy as np

from engines.types import Detections
from training.data_scenes import Faces
from training.detector_score import FaceRecord, Tally, operating_point, score_picture

POINTS = np.array([[10, 10], [30, 10], [20, 20], [12, 30], [28, 30]], np.float32)


def faces(*boxes: tuple[float, float, float, float], ignore: bool = False) -> Faces:
    count = len(boxes)
    return Faces(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.repeat(POINTS[None], count, 0),
        np.full(count, ignore),
    )


def found(*rows: tuple[float, float, float, float, float]) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 5)
    points = np.repeat(POINTS[None] + np.float32(1), len(table), 0)
    return Detections(table[:, :4].copy(), points, table[:, 4].copy())


def test_a_face_counts_once_and_its_duplicate_is_false() -> None:
    tally = score_picture(found((0, 0, 40, 40, 0.9), (1, 0, 41, 40, 0.8)), faces((0, 0, 40, 40)))
    assert [round(f.score, 3) for f in tally.faces] == [0.9]
    assert np.allclose(tally.false_scores, [0.8])
    assert np.isclose(tally.faces[0].landmark_error, np.sqrt(2) / 20)


def test_small_and_ignored_faces_neither_count_nor_cost() -> None:
    small = score_picture(found((0, 0, 12, 12, 0.9)), faces((0, 0, 12, 12)))
    ignored = score_picture(found((0, 0, 40, 40, 0.9)), faces((0, 0, 40, 40), ignore=True))
    assert (small.faces, small.false_scores) == ((), ())
    assert (ignored.faces, ignored.false_scores) == ((), ())


def test_missed_face_has_score_zero() -> None:
    tally = score_picture(found((200, 200, 240, 240, 0.7)), faces((0, 0, 40, 40)))
    assert tally.faces[0].score == 0.0
    assert len(tally.false_scores) == 1


def test_operating_point_is_the_lowest_threshold_that_is_precise_enough() -> None:
    hits = tuple(FaceRecord((), score, 0.0) for score in (0.9, 0.8, 0.7, 0.3))
    threshold, recall, precision = operating_point([Tally(hits, (0.5,))], precision=0.95)
    assert (threshold, recall, precision) == (0.7, 0.75, 1.0)
    assert operating_point([Tally(hits, (0.5,))], precision=0.8)[1] == 1.0
