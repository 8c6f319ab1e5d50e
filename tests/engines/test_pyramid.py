from __future__ import annotations

import numpy as np

from engines.preprocess import Letterbox, fit_free
from engines.pyramid import (
    LookLimits,
    coarse_factor,
    doubted_giants,
    has_doubtful_giants,
    merge_looks,
    shrunk,
)
from engines.types import Detections

LIMITS = LookLimits(nms_iou=0.4, sure_score=0.6, doubtful_score=0.27)


def found(*rows: tuple[float, float, float, float, float]) -> Detections:
    table = np.array(rows, np.float32).reshape(-1, 5)
    points = np.zeros((len(table), 5, 2), np.float32)
    return Detections(table[:, :4].copy(), points, table[:, 4].copy())


def square_box() -> Letterbox:
    return fit_free((640, 640), long_side_px=640, most_enlarged=1.0)


def merged_scores(fine: Detections, coarse: Detections) -> dict[int, float]:
    """Left edge of each box -> its score."""
    merged = merge_looks(fine, coarse, square_box(), LIMITS, factor=2)
    lefts = merged.boxes_xyxy_px[:, 0].astype(int).tolist()
    return {left: round(float(s), 3) for left, s in zip(lefts, merged.scores, strict=True)}


def test_a_smaller_canvas_is_still_whole_strides() -> None:
    box = fit_free((416, 736), long_side_px=736, most_enlarged=1.0)
    small, half = shrunk(np.zeros((*box.canvas_hw, 3), np.uint8), box, 2)
    assert small.shape == (224, 384, 3)
    assert half.content_hw == (208, 368)
    np.testing.assert_allclose(half.factor_xy * 2, box.factor_xy)
    assert (small[208:] == 127).all()


def test_padding_is_not_shrunk_into_the_picture() -> None:
    box = fit_free((540, 960), long_side_px=960, most_enlarged=1.0)
    canvas = np.full((*box.canvas_hw, 3), 127, np.uint8)
    canvas[:540] = 255
    small, third = shrunk(canvas, box, 3)
    assert third.content_hw == (180, 320)
    assert (small[:180] == 255).all()
    assert (small[180:] == 127).all()


def test_a_third_is_the_mean_of_its_pixels() -> None:
    box = fit_free((540, 960), long_side_px=960, most_enlarged=1.0)
    canvas = np.random.default_rng(3).integers(0, 256, (*box.canvas_hw, 3)).astype(np.uint8)
    small, _ = shrunk(canvas, box, 3)
    blocks = canvas[:540].reshape(180, 3, 320, 3, 3).astype(np.float64)
    np.testing.assert_array_equal(small[:180], np.rint(blocks.mean((1, 3))))


def test_the_coarse_look_is_of_one_size() -> None:
    assert [coarse_factor(side) for side in (320, 640, 960, 1280)] == [2, 2, 3, 4]


def test_each_look_answers_for_its_sizes() -> None:
    fine = found((0, 0, 30, 30, 0.6), (100, 100, 400, 400, 0.9))
    coarse = found((0, 40, 30, 70, 0.9), (110, 110, 410, 410, 0.7))
    assert merged_scores(fine, coarse) == {110: 0.7, 0: 0.6}


def test_weaker_boxes_inside_a_face_are_parts_of_it() -> None:
    fine = found((200, 200, 300, 300, 0.6), (500, 500, 560, 560, 0.9))
    coarse = found((100, 100, 400, 400, 0.8), (450, 450, 639, 639, 0.7))
    # A stronger inner one stays.
    assert merged_scores(fine, coarse) == {500: 0.9, 100: 0.8, 450: 0.7}


def test_a_weak_find_needs_the_other_look_too() -> None:
    fine = found((0, 0, 60, 60, 0.5), (100, 0, 160, 60, 0.5), (200, 0, 225, 25, 0.5))
    coarse = found((2, 2, 62, 62, 0.16), (300, 300, 430, 430, 0.5), (450, 450, 630, 630, 0.5))
    assert merged_scores(fine, coarse) == {
        0: 0.5,  # seen by both
        200: 0.5,  # too small for the coarse look
        450: 0.5,  # too big for the fine one
        100: 0.27,
        300: 0.27,
    }


def test_a_sure_find_needs_no_witness() -> None:
    fine, coarse = found((100, 0, 160, 60, 0.61)), found((300, 300, 430, 430, 0.61))
    assert merged_scores(fine, coarse) == {100: 0.61, 300: 0.61}


def test_a_weak_box_around_a_sure_small_face_is_doubted() -> None:
    face, around = (200, 200, 250, 250, 0.8), (100, 100, 420, 420, 0.5)
    both = found((201, 201, 251, 251, 0.3), around)
    assert merged_scores(found(face), both) == {200: 0.8, 100: 0.27}
    # Seen by the fine look alone, it may be a part of a near face.
    assert merged_scores(found(face), found(around)) == {200: 0.8, 100: 0.5}
    # A sure near face is believed whatever is seen inside.
    sure = found((201, 201, 251, 251, 0.3), (100, 100, 420, 420, 0.7))
    assert merged_scores(found(face), sure) == {200: 0.8, 100: 0.7}


def test_weak_giants_need_a_coarser_witness() -> None:
    box = fit_free((320, 320), long_side_px=320, most_enlarged=1.0)
    coarse = found((0, 0, 100, 100, 0.5), (150, 0, 300, 150, 0.5), (0, 200, 60, 260, 0.5))
    assert has_doubtful_giants(coarse, box, LIMITS)
    scores = doubted_giants(coarse, found((5, 5, 100, 100, 0.2)), box, LIMITS).scores
    np.testing.assert_allclose(scores, [0.5, 0.27, 0.5])
    assert not has_doubtful_giants(found((0, 0, 100, 100, 0.7)), box, LIMITS)
    assert not has_doubtful_giants(found((0, 0, 60, 60, 0.5)), box, LIMITS)


def test_nothing_found_is_nothing() -> None:
    assert len(merge_looks(found(), found(), square_box(), LIMITS, factor=2)) == 0
    assert len(doubted_giants(found(), found(), square_box(), LIMITS)) == 0
