from __future__ import annotations

import numpy as np
import pytest

from streamer.motion import BoxMotion
from tests.streamer.scenes import face_box


def centre(motion: BoxMotion) -> tuple[float, float]:
    x1, y1, x2, y2 = motion.box_xyxy_px()
    return float(x1 + x2) / 2, float(y1 + y2) / 2


@pytest.mark.parametrize("steps_s", [[0.04] * 25, [0.02, 0.06, 0.04, 0.1] * 6])
def test_predicts_even_motion_at_any_frame_rate(steps_s: list[float]) -> None:
    motion, time_s = BoxMotion(face_box(100, 100)), 0.0
    for step_s in steps_s:
        time_s += step_s
        motion.predict(step_s, is_lost=False)
        motion.update(face_box(100 + 150 * time_s, 100 - 40 * time_s))
    motion.predict(0.1, is_lost=False)
    time_s += 0.1
    assert centre(motion) == pytest.approx((100 + 150 * time_s, 100 - 40 * time_s), abs=4)
    assert motion.speed_px_s[0] == pytest.approx(150, rel=0.1)


def test_a_lost_face_slows_down() -> None:
    lost, seen = BoxMotion(face_box(100, 100)), BoxMotion(face_box(100, 100))
    for i in range(1, 20):
        for motion in (lost, seen):
            motion.predict(0.04, is_lost=False)
            motion.update(face_box(100 + 8 * i, 100))
    for _ in range(50):
        lost.predict(0.04, is_lost=True)
        seen.predict(0.04, is_lost=False)
    assert centre(lost)[0] < centre(seen)[0] - 100
    assert centre(lost)[0] > 252


def test_grows_about_its_centre_and_keeps_its_shape() -> None:
    motion = BoxMotion(face_box(100, 100, 80))
    box, grown = motion.box_xyxy_px(), motion.box_xyxy_px(1.5)
    np.testing.assert_allclose(box, face_box(100, 100, 80), atol=1e-3)
    np.testing.assert_allclose(grown[2:] - grown[:2], 1.5 * (box[2:] - box[:2]), rtol=1e-5)


def test_never_collapses() -> None:
    motion = BoxMotion(face_box(100, 100, 60))
    for i in range(1, 8):
        motion.predict(0.04, is_lost=False)
        motion.update(face_box(100, 100, 60 - 8 * i))
    for _ in range(50):
        motion.predict(0.04, is_lost=False)
    box = motion.box_xyxy_px()
    assert np.isfinite(box).all()
    assert (box[2:] > box[:2]).all()


def test_uncertain_boxes_pull_less() -> None:
    sure, unsure = BoxMotion(face_box(100, 100)), BoxMotion(face_box(100, 100))
    for motion, is_certain in ((sure, True), (unsure, False)):
        for _ in range(5):
            motion.predict(0.04, is_lost=False)
            motion.update(face_box(100, 100))
        motion.predict(0.04, is_lost=False)
        motion.update(face_box(120, 100), is_certain=is_certain)
    assert centre(unsure)[0] < centre(sure)[0]
