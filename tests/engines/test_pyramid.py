from __future__ import annotations

import numpy as np

from engines.preprocess import fit_free
from engines.pyramid import halved, merge_looks
from engines.types import Detections


def found(*rows: tuple[float, float, float, float, float]) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 5)
    points = np.zeros((len(table), 5, 2), np.float32)
    return Detections(table[:, :4].copy(), points, table[:, 4].copy())


def test_half_a_canvas_is_still_whole_strides() -> None:
    box = fit_free((416, 736), long_side_px=736, most_enlarged=1.0)
    small, half = halved(np.zeros((*box.canvas_hw, 3), np.uint8), box)
    assert small.shape == (224, 384, 3)
    assert half.content_hw == (208, 368)
    np.testing.assert_allclose(half.factor_xy * 2, box.factor_xy)
    assert (small[208:] == 127).all()


def test_each_look_answers_for_its_sizes() -> None:
    box = fit_free((640, 640), long_side_px=640, most_enlarged=1.0)
    fine = found((0, 0, 30, 30, 0.6), (100, 100, 400, 400, 0.9))
    coarse = found((0, 40, 30, 70, 0.9), (110, 110, 410, 410, 0.7))
    merged = merge_looks(fine, coarse, box, nms_iou=0.4)
    assert merged.boxes_xyxy_px[:, 0].tolist() == [110, 0]


def test_weaker_boxes_inside_a_face_are_parts_of_it() -> None:
    box = fit_free((640, 640), long_side_px=640, most_enlarged=1.0)
    fine = found((200, 200, 300, 300, 0.6), (500, 500, 560, 560, 0.9))
    coarse = found((100, 100, 400, 400, 0.8), (450, 450, 639, 639, 0.7))
    merged = merge_looks(fine, coarse, box, nms_iou=0.4)
    assert merged.boxes_xyxy_px[:, 0].tolist() == [500, 100, 450]  # a stronger inner one stays
