from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.arrays import Float64Array
from streamer.smoothing import SmoothingOptions, fill_gaps, local_lines, longest_runs_only, smooth

OPTIONS = SmoothingOptions()


def column(*values: float) -> Float64Array:
    return np.array(values, np.float64)[:, None]


def frame_times(count: int) -> Float64Array:
    return np.asarray(np.arange(count) * 0.04, np.float64)


@given(
    steps=st.lists(st.floats(0.01, 0.2), min_size=3, max_size=40),
    speed=st.floats(-2000, 2000),
    start=st.floats(-1000, 1000),
)
def test_even_motion_passes_without_lag(steps: list[float], speed: float, start: float) -> None:
    times_s = np.cumsum(steps)
    values = start + speed * times_s[:, None]
    ones = np.ones(len(times_s))
    smoothed = smooth(times_s, values, ones, 80 * ones, OPTIONS)
    np.testing.assert_allclose(smoothed, values, atol=1e-3)


def test_takes_noise_off_a_still_face() -> None:
    rng = np.random.default_rng(0)
    times_s = frame_times(100)
    noisy = 200 + rng.normal(size=(100, 10)) * 0.8
    smoothed = smooth(times_s, noisy, np.ones(100), np.full(100, 80.0), OPTIONS)
    assert smoothed.std(0).mean() < 0.6 * noisy.std(0).mean()
    # What the eye sees as flicker is the step from frame to frame.
    assert np.diff(smoothed, axis=0).std() < 0.3 * np.diff(noisy, axis=0).std()


def test_follows_a_sudden_start() -> None:
    times_s = frame_times(60)
    path = 100 + np.maximum(times_s - 1.0, 0)[:, None] * 600
    smoothed = smooth(times_s, path, np.ones(60), np.full(60, 80.0), OPTIONS)
    assert np.abs(smoothed - path).max() < 0.06 * 80


@given(values=st.lists(st.floats(0, 500), min_size=1, max_size=30), size=st.floats(10, 200))
def test_never_farther_than_the_limit(values: list[float], size: float) -> None:
    times_s = frame_times(len(values))
    given_values = column(*values)
    ones = np.ones(len(values))
    smoothed = smooth(times_s, given_values, ones, size * ones, OPTIONS)
    assert np.abs(smoothed - given_values).max() <= OPTIONS.max_lag_ratio * size + 1e-6


def test_interpolated_rows_have_little_say() -> None:
    times_s = frame_times(9)
    values = column(0, 0, 0, 0, 9, 0, 0, 0, 0)
    weights = np.ones(9)
    weights[4] = 1e-6
    assert abs(local_lines(times_s, values, weights, 0.1)[4, 0]) < 0.01


def test_one_row_and_no_rows() -> None:
    one = local_lines(np.zeros(1), column(5), np.ones(1), 0.1)
    assert one[0, 0] == pytest.approx(5)
    assert smooth(np.zeros(0), np.zeros((0, 4)), np.zeros(0), np.zeros(0), OPTIONS).shape == (0, 4)


def test_gaps_are_filled_along_time() -> None:
    filled = fill_gaps(np.array([0.0, 1.0]), column(0, 10), np.array([0.0, 0.3, 1.0, 2.0]))
    np.testing.assert_allclose(filled, column(0, 3, 10, 10))
    np.testing.assert_allclose(fill_gaps(np.array([1.0]), column(4), np.array([0.0, 9.0])), 4)


def test_short_runs_are_cleared() -> None:
    flags = np.array([1, 1, 0, 1, 1, 1, 1, 0, 1], np.bool_)
    kept = longest_runs_only(flags, frame_times(9), 0.12)
    np.testing.assert_array_equal(kept, np.array([0, 0, 0, 1, 1, 1, 1, 0, 0], np.bool_))
    assert not len(longest_runs_only(np.zeros(0, np.bool_), np.zeros(0), 0.1))
