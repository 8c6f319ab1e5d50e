from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from benchmarks.generator_material import HeldOut
from benchmarks.judges_cache import Memo
from benchmarks.privacy_gaze import dark_centres
from benchmarks.privacy_looks import head_pose_deg, openings
from benchmarks.privacy_methods import baselines
from benchmarks.privacy_sample import draw_sample, first_each
from benchmarks.privacy_stats import bootstrap_interval, summarise
from benchmarks.privacy_svg import bar_chart, line_chart
from engines.arrays import UInt8Array


def _pictures(count: int = 2) -> UInt8Array:
    rng = np.random.default_rng(1)
    return rng.integers(0, 256, (count, 160, 160, 3)).astype(np.uint8)


def test_memory_asks_once_and_survives_a_restart(tmp_path: Path) -> None:
    asked: list[int] = []

    def work(x: UInt8Array) -> UInt8Array:
        asked.append(len(x))
        return (x + 1).astype(np.uint8)

    values = np.arange(100, dtype=np.uint8)[:, None]
    for _ in range(2):
        answer = Memo(tmp_path / "memo").rows("plus one", work, values)
        np.testing.assert_array_equal(answer, values + 1)
    assert sum(asked) == 100
    Memo(tmp_path / "memo").rows("plus one", work, values + 1)
    Memo(tmp_path / "memo").rows("other weights", work, values)
    assert sum(asked) == 300
    assert (tmp_path / "memo").stat().st_mode & 0o077 == 0


def test_memory_refuses_uneven_arguments() -> None:
    with pytest.raises(ValueError, match="different numbers of rows"):
        Memo(None).rows("x", lambda a, b: a, np.zeros(3), np.zeros(2))


def test_interval_widens_when_faces_of_a_person_are_alike() -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2, 40).astype(np.float64)
    alone = bootstrap_interval(values, np.arange(40))
    repeated = bootstrap_interval(np.repeat(values, 10), np.repeat(np.arange(40), 10))
    naive = bootstrap_interval(np.repeat(values, 10), np.arange(400))
    assert repeated == pytest.approx(alone, abs=0.05)
    assert naive[1] - naive[0] < 0.5 * (repeated[1] - repeated[0])
    assert alone[0] < values.mean() < alone[1]


def test_summaries_leave_out_what_could_not_be_measured() -> None:
    seeds = [{"a": np.array([1.0, np.nan])}, {"a": np.array([0.0, 0.0])}]
    found = summarise(seeds, [np.array([0, 1]), np.array([0, 1])])["a"]
    assert found.faces == 3
    assert found.mean == pytest.approx(1 / 3)
    assert found.seeds_sd == pytest.approx(np.std([1, 0], ddof=1))
    nothing = summarise([{"a": np.array([np.nan])}], [np.array([0])])["a"].as_dict()
    assert nothing["mean"] is None
    assert nothing["faces"] == 0


@pytest.mark.parametrize("baseline", baselines(), ids=lambda b: b.name)
def test_baselines_hide_what_they_should(baseline: object) -> None:
    from benchmarks.privacy_methods import Baseline

    assert isinstance(baseline, Baseline)
    crops = _pictures()
    made = baseline.apply(crops)
    assert made.shape == crops.shape
    assert made.dtype == np.uint8
    if "original" in baseline.name:
        np.testing.assert_array_equal(made, crops)
        return
    assert np.abs(made.astype(int) - crops).mean() > 3
    np.testing.assert_array_equal(made, baseline.apply(crops))
    if baseline.name == "black box":
        assert not made[:, 60:120, 60:100].any()
        np.testing.assert_array_equal(made[:, :20], crops[:, :20])


def test_undoing_comes_nearer_to_the_original() -> None:
    ramp = np.linspace(0, 255, 160)
    wave = 100 + 60 * np.sin(np.arange(160) / 9.0)
    smooth = np.broadcast_to(((ramp[None] + wave[:, None]) / 2)[..., None], (160, 160, 3))
    crops = np.ascontiguousarray(smooth[None]).astype(np.uint8)
    for baseline in baselines():
        if baseline.restore is None:
            continue
        hidden = baseline.apply(crops)
        errors = [np.abs(x.astype(int) - crops).mean() for x in (hidden, baseline.restore(hidden))]
        assert errors[1] < errors[0], baseline.name


def test_pose_follows_the_head() -> None:
    def seen(yaw_deg: float) -> np.ndarray:
        turn = np.radians(yaw_deg)
        head = np.array(
            [
                *([0, 0, 0], [0, 330, 65], [-225, -170, 135]),
                *([225, -170, 135], [-150, 150, 125], [150, 150, 125]),
            ],
            float,
        )
        spin = np.array(
            [[np.cos(turn), 0, np.sin(turn)], [0, 1, 0], [-np.sin(turn), 0, np.cos(turn)]]
        )
        placed = head @ spin.T + [0, 0, 1500]
        points = np.zeros((66, 2))
        points[[30, 8, 36, 45, 48, 54]] = 80 + 160 * placed[:, :2] / placed[:, 2:]
        return points

    straight, turned = head_pose_deg(seen(0)), head_pose_deg(seen(20))
    assert abs(straight).max() < 1
    assert abs(turned[1] - straight[1]) == pytest.approx(20, abs=1)
    assert abs(turned[2] - straight[2]) < 1


def test_openings_are_ratios() -> None:
    points = np.zeros((1, 66, 2))
    for first in (36, 42):
        points[0, first : first + 6] = [(0, 0), (3, -1), (7, -1), (10, 0), (7, 1), (3, 1)]
    points[0, 48], points[0, 54] = (0, 0), (20, 0)
    points[0, 61], points[0, 64] = (10, -3), (10, 3)
    eyes, mouth = openings(points)
    assert eyes[0] == pytest.approx(0.2)
    assert mouth[0] == pytest.approx(0.3)


def _eyes(shift_px: float) -> tuple[UInt8Array, np.ndarray]:
    """White eyes with dark discs moved to the right, and their landmarks."""
    crop = np.full((160, 160, 3), 180, np.uint8)
    points = np.zeros((1, 66, 2))
    for first, (x, y) in ((36, (55.0, 70.0)), (42, (105.0, 70.0))):
        cv2.ellipse(crop, (int(x), int(y)), (14, 7), 0, 0, 360, (255, 255, 255), -1)
        cv2.circle(crop, (round(x + shift_px), int(y)), 5, (30, 30, 30), -1)
        outline = [(-14, 0), (-7, -6), (7, -6), (14, 0), (7, 6), (-7, 6)]
        points[0, first : first + 6] = np.add(outline, (x, y))
    return crop[None], points


def test_the_dark_of_an_eye_moves_with_its_iris() -> None:
    straight, aside = (dark_centres(*_eyes(shift)) for shift in (0.0, 4.0))
    np.testing.assert_allclose(straight, 0, atol=0.02)
    np.testing.assert_allclose(aside[0, :, 0], 4 / 28, atol=0.03)
    np.testing.assert_allclose(aside[0, :, 1], 0, atol=0.02)


def test_the_dark_of_an_eye_turns_with_the_head() -> None:
    crop, points = _eyes(4.0)
    turn = cv2.getRotationMatrix2D((80.0, 80.0), 20.0, 1.0)
    leaning = np.asarray(cv2.warpAffine(crop[0], turn, (160, 160)), np.uint8)[None]
    moved = points @ turn[:, :2].T + turn[:, 2]
    np.testing.assert_allclose(dark_centres(leaning, moved), dark_centres(crop, points), atol=0.02)


def test_a_shut_eye_looks_nowhere() -> None:
    crop, points = _eyes(0.0)
    points[0, 42:48, 1] = 70.0
    found = dark_centres(crop, points)
    assert np.isfinite(found[0, 0]).all()
    assert np.isnan(found[0, 1]).all()


def test_samples_differ_by_seed_and_keep_gallery_apart() -> None:
    crops = np.arange(24, dtype=np.uint8)[:, None, None, None] * np.ones((1, 2, 2, 3), np.uint8)
    held = HeldOut(crops, np.repeat(np.arange(4), 6), np.arange(4), np.arange(4))
    first, second = (draw_sample(held, seed, per_person=3) for seed in (0, 1))
    assert not np.array_equal(first.probes, second.probes)
    for sample in (first, second):
        shown = {int(x) for x in sample.probes[:, 0, 0, 0]}
        assert len(shown) == 12
        assert not shown & {int(x) for x in sample.gallery[:, 0, 0, 0]}
        owner = sample.gallery[sample.people][:, 0, 0, 0] // 6
        np.testing.assert_array_equal(sample.probes[:, 0, 0, 0] // 6, owner)
        np.testing.assert_array_equal(owner, sample.identities)
        np.testing.assert_array_equal(sample.people, np.tile(np.arange(4), 3))
    everything = draw_sample(held, 0)
    assert len(everything.probes) == 20
    np.testing.assert_array_equal(first_each(everything, 3).probes, first.probes)
    assert first_each(first, 7) is first
    few = draw_sample(held, 0, per_person=1, people=2)
    assert len(few.gallery) == len(few.probes) == 2


def test_plots_name_their_series_and_escape_them() -> None:
    line = line_chart("a < b", ("x", "y"), {"one": [(0, 1), (1, 2), (2, float("nan"))]})
    assert line.count("<circle") == 2
    assert "a &lt; b" in line
    bars = bar_chart("t", {"ours": (0.5, 0.4, 0.6), "x": (float("nan"),) * 3}, 1.0)
    assert bars.count("<rect") == 2
    assert "0.500" in bars
    assert line_chart("t", ("x", "y"), {"none": []}) == ""
