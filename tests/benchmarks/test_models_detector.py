from __future__ import annotations

import numpy as np

from benchmarks.models_detector_clips import ClipFrame, found_ratio, teacher_faces
from engines.types import Detections


def found(*rows: tuple[float, float, float, float, float]) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 5)
    points = np.zeros((len(table), 5, 2), np.float32)
    return Detections(table[:, :4].copy(), points, table[:, 4].copy())


def test_teachers_agree_or_one_is_sure() -> None:
    first = found((0, 0, 40, 40, 0.65), (100, 0, 140, 40, 0.65))
    second = found((2, 0, 42, 40, 0.65), (200, 0, 240, 40, 0.9))
    boxes, agreed = teacher_faces(first, second)
    assert boxes[:, 0].tolist() == [0, 200]
    assert agreed.tolist() == [True, False]


def test_found_ratio_counts_by_clip() -> None:
    black = np.zeros((8, 8, 3), np.uint8)
    box = np.array([[0, 0, 40, 40]], np.float32)
    frames = [
        ClipFrame("a", black, box, np.ones(1, np.bool_)),
        ClipFrame("b", black, box, np.zeros(1, np.bool_)),
    ]
    report = found_ratio(frames, [found((0, 0, 40, 40, 0.9)), found((90, 0, 99, 9, 0.9))])
    assert report["ratio"] == 0.5
    assert report["ratio_agreed"] == 1.0
    assert report["per_clip"] == {
        "a": {"ratio": 1.0, "faces": 1, "beyond": 0},
        "b": {"ratio": 0.0, "faces": 1, "beyond": 1},
    }
