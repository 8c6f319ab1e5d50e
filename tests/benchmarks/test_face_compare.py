from __future__ import annotations

import numpy as np
import pytest

from benchmarks.face_compare import (
    altered_ratio,
    compare_face,
    inner_box,
    overlap_ratio,
    psnr_db,
)
from engines.arrays import UInt8Array


def _noise(seed: int = 0) -> UInt8Array:
    return np.random.default_rng(seed).integers(0, 256, (64, 64, 3), np.uint8)


def test_face_outside_the_frame_is_not_judged() -> None:
    frame = _noise()
    assert compare_face(frame, frame, np.array([70, 70, 100, 100], np.float32)) is None


def test_flat_cover_has_no_correlation() -> None:
    change = compare_face(_noise(), np.zeros_like(_noise()), np.array([0, 0, 64, 64], np.float32))
    assert change is not None
    assert change.correlation == 0.0
    assert not change.is_untouched
    assert not change.is_weak


def test_inner_box_is_cut_to_the_frame() -> None:
    left, top, right, bottom = inner_box(np.array([-50, 10, 50, 60], np.float32), (64, 64))
    assert left == 0
    assert (right, top, bottom) == (38, 15, 55)


def test_changes_near_a_face_are_fair() -> None:
    frame = np.full((64, 64, 3), 100, np.uint8)
    changed = frame.copy()
    changed[16:32, 16:32] = 200
    box = np.array([[16, 16, 32, 32]], np.float32)
    assert altered_ratio(frame, changed, box) == 0
    assert altered_ratio(frame, changed, box[:0]) == pytest.approx(4 / 64)


def test_overlap_of_equal_and_distant_boxes() -> None:
    box = np.array([0, 0, 10, 10], np.float32)
    others = np.array([[0, 0, 10, 10], [20, 20, 30, 30]], np.float32)
    assert overlap_ratio(box, others) == pytest.approx(1)
    assert overlap_ratio(box, others[1:]) == 0
    assert overlap_ratio(box, others[:0]) == 0


def test_psnr_of_known_error() -> None:
    a = np.full((8, 8, 3), 100, np.uint8)
    assert psnr_db(a, a) == 99
    assert psnr_db(a, a + np.uint8(1)) == pytest.approx(48.13, abs=0.01)
