"""The instrument itself: what must be recognised is, what cannot be is not."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.judges import (
    ImageJudge,
    accepted_by_any,
    distance_matrix,
    row_distances,
)
from benchmarks.judges_lfw import far_threshold
from benchmarks.privacy_measures import identity_measures, picture_measures, ranks
from benchmarks.privacy_sample import Sample
from tests.benchmarks.privacy_fakes import exact_judge, make_sample


def test_original_against_original_is_fully_reidentified() -> None:
    sample = make_sample()
    found = identity_measures(sample, sample.probes, [exact_judge()])
    assert found["exact Id-dis"].max() == 0
    assert found["exact SR FAR 1e-3"].max() == 0
    assert found["exact SR FAR 1e-4"].max() == 0
    assert found["any judge FAR 1e-3"].min() == 1
    assert found["exact rank-1"].mean() == 1
    assert found["exact SR other picture FAR 1e-3"].mean() < 0.1


def test_black_box_is_never_reidentified() -> None:
    sample = make_sample()
    found = identity_measures(sample, np.zeros_like(sample.probes), [exact_judge()])
    assert found["exact SR FAR 1e-3"].min() == 1
    assert found["any judge FAR 1e-3"].max() == 0
    # All probes look the same, so the ranking knows nothing: one person in twenty.
    assert found["exact rank-1"].mean() == pytest.approx(1 / 20, abs=0.001)


def test_shuffled_identities_are_at_chance() -> None:
    sample = make_sample(count=40, per_person=1)
    rng = np.random.default_rng(3)
    hits = []
    for _ in range(50):
        swapped = rng.permutation(len(sample.people))
        shuffled = Sample(0, sample.probes, swapped, sample.gallery, sample.identities)
        hits.append(identity_measures(shuffled, sample.probes, [exact_judge()])["exact rank-1"])
    rate = float(np.mean(hits))
    assert rate == pytest.approx(1 / 40, abs=0.012)
    assert rate > 0


def test_no_face_is_looked_for_in_a_gallery_with_its_own_picture() -> None:
    rng = np.random.default_rng(5)
    people = np.tile(np.arange(20), 6)
    noise = rng.integers(0, 256, (140, 4, 4, 3), np.uint8)  # no two pictures are alike
    sample = Sample(0, noise[20:], people, noise[:20], people)
    found = identity_measures(sample, sample.probes, [exact_judge()])
    assert found["exact rank-1"].mean() == pytest.approx(1 / 20, abs=0.03)
    assert found["exact SR other picture FAR 1e-3"].min() == 1


def test_every_other_picture_of_the_person_serves_as_gallery() -> None:
    sample = make_sample(count=20, per_person=3)
    nobody = Sample(0, sample.probes, sample.people, np.zeros_like(sample.gallery), sample.people)
    found = identity_measures(nobody, sample.probes, [exact_judge()])["exact rank-1"]
    # Found in the galleries of the two other pictures, and by luck at most in that of nobody.
    assert found.min() >= 2 / 3


def test_one_accepting_judge_is_enough() -> None:
    strict = ImageJudge("strict", lambda x: x, {"FAR 1e-3": 0.1})  # type: ignore[arg-type,return-value]
    lax = ImageJudge("lax", lambda x: x, {"FAR 1e-3": 0.9})  # type: ignore[arg-type,return-value]
    distances = {"strict": np.array([0.05, 0.5, 2.0]), "lax": np.array([2.0, 0.5, 2.0])}
    assert accepted_by_any(distances, [strict, lax], "FAR 1e-3").tolist() == [1, 1, 0]


def test_ranks_count_ties_half() -> None:
    distances = np.array([[0.2, 0.1, 0.3], [0.5, 0.5, 0.5]])
    assert ranks(distances, np.array([0, 2])).tolist() == [1.0, 1.0]


def test_distances_agree() -> None:
    rng = np.random.default_rng(0)
    a, b = (rng.normal(size=(5, 7)).astype(np.float32) for _ in range(2))
    np.testing.assert_allclose(np.diag(distance_matrix(a, b)), row_distances(a, b), atol=1e-5)


def test_threshold_accepts_no_more_strangers_than_allowed() -> None:
    distances = np.random.default_rng(0).uniform(size=10_000)
    for rate in (1e-2, 1e-3):
        limit = far_threshold(distances, rate)
        assert (distances <= limit).mean() == pytest.approx(rate, abs=1e-9)


def test_identical_pictures_have_no_distance() -> None:
    crops = np.random.default_rng(0).integers(0, 256, (2, 160, 160, 3)).astype(np.uint8)
    same = picture_measures(crops, crops)
    assert same["SSIM"].min() == pytest.approx(1)
    assert same["1 - MS-SSIM"].max() == pytest.approx(0, abs=1e-6)
    assert same["outside PSNR dB"].min() == pytest.approx(99)
    darker = picture_measures(crops, (crops // 2).astype(np.uint8))
    assert darker["1 - MS-SSIM"].min() > 0.05
    assert darker["PSNR dB"].max() < 15


def test_changes_inside_and_outside_the_face_are_told_apart() -> None:
    crops = np.full((1, 160, 160, 3), 100, np.uint8)
    inside, outside = crops.copy(), crops.copy()
    inside[:, 70:110, 60:100] = 0
    outside[:, :10] = 0
    assert picture_measures(crops, inside)["outside PSNR dB"][0] == pytest.approx(99)
    assert picture_measures(crops, inside)["face PSNR dB"][0] < 30
    assert picture_measures(crops, outside)["outside PSNR dB"][0] < 30
    assert picture_measures(crops, outside)["face PSNR dB"][0] == pytest.approx(99)
