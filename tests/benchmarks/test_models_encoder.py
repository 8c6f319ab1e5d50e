from __future__ import annotations

import numpy as np
import pytest

from benchmarks.encoder_groups import age_group
from benchmarks.encoder_views import darkened, h264, masked, resized, shifted
from benchmarks.models_encoder import fold_accuracy, tar_at_far


def unit(rng: np.random.Generator, count: int) -> np.ndarray:
    e = rng.normal(size=(count, 16))
    return np.asarray(e / np.linalg.norm(e, axis=1, keepdims=True), np.float32)


def smooth_crops(count: int, size: int = 128) -> np.ndarray:
    ramp = np.linspace(0, 255, size)
    picture = np.stack(
        [ramp[:, None] + 0 * ramp, ramp + 0 * ramp[:, None], 0 * np.outer(ramp, ramp)]
    )
    shades = np.linspace(0.5, 1, count)[:, None, None, None]
    return np.asarray(picture.transpose(1, 2, 0) * shades, np.uint8)


def test_fold_accuracy_of_separable_pairs_is_one() -> None:
    same = np.tile([True, False], 20)
    cosines = np.where(same, 0.6, 0.1).astype(np.float32)
    assert fold_accuracy(cosines, same, np.arange(40) // 4) == 1.0


def test_fold_accuracy_takes_its_threshold_from_the_other_folds() -> None:
    same = np.tile([True, False], 4)
    cosines = np.where(same, 0.6, 0.1).astype(np.float32)
    cosines[:2] = [0.05, 0.9]  # the first fold alone would want the opposite
    fold = np.repeat([0, 1, 2, 3], 2)
    assert fold_accuracy(cosines, same, fold) == pytest.approx(0.75)


def test_tar_counts_one_picture_of_each_person_as_impostor() -> None:
    rng = np.random.default_rng(0)
    embeddings = unit(rng, 60)
    people = [f"p{i // 2}" for i in range(60)]
    genuine = np.array([0.99, -0.99], np.float32)
    tar, threshold = tar_at_far(genuine, embeddings, people, far=0.1)
    first = embeddings[::2]
    impostors = (first @ first.T)[np.triu_indices(30, 1)]
    assert tar == 0.5
    assert (impostors > threshold).mean() <= 0.1


def test_h264_keeps_order_and_place() -> None:
    crops = smooth_crops(23)
    coded = h264(crops)
    assert coded.shape == crops.shape
    assert np.abs(coded.astype(int) - crops).mean() < 6


def test_shift_moves_the_face() -> None:
    canvases = smooth_crops(1, 160)
    still = shifted(canvases, right_px=0, down_px=0)
    moved = shifted(canvases, right_px=2, down_px=-1)
    np.testing.assert_array_equal(moved[:, :-1, 2:], still[:, 1:, :-2])


def test_views_keep_shape_and_source() -> None:
    crops = smooth_crops(2, 112)
    before = crops.copy()
    for view in (resized(crops, face_px=24), darkened(crops), masked(crops)):
        assert view.shape == crops.shape
        assert view.dtype == np.uint8
        assert not np.array_equal(view, crops)
    np.testing.assert_array_equal(crops, before)


@pytest.mark.parametrize(
    ("age", "group"), [("5", "under 18"), ("18", "18-39"), ("59", "40-59"), ("75", "60 and over")]
)
def test_age_groups(age: str, group: str) -> None:
    assert age_group(age) == group
