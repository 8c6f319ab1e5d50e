"""Smoothing over time without lag: weighted local lines instead of running averages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.arrays import Float64Array

__all__ = ["SmoothingOptions", "fill_gaps", "local_lines", "longest_runs_only", "smooth"]

_TINY: Final = 1e-9


@dataclass(frozen=True, slots=True)
class SmoothingOptions:
    """How strongly values are smoothed, in units of the size of the face.

    Attributes:
        slow_s: reach (standard deviation) of the smoothing while the face moves evenly.
        fast_s: reach while it starts, stops or turns.
        noise_ratio: an even deviation up to here is taken for noise.
        motion_ratio: an even deviation from here on is taken for motion.
        max_lag_ratio: no smoothed value is farther than this from the observed one.
    """

    slow_s: float = 0.10
    fast_s: float = 0.025
    noise_ratio: float = 0.012
    motion_ratio: float = 0.035
    max_lag_ratio: float = 0.08


def local_lines(
    times_s: Float64Array, values: Float64Array, weights: Float64Array, reach_s: float
) -> Float64Array:
    """Value at each time of a line fitted to the neighbours under a Gaussian of time.

    A line follows even motion without lag, also at the ends, where a mean would be dragged inwards.

    Args:
        times_s: (N,) increasing.
        values: (N, D).
        weights: (N,) confidence of each row, not negative.
        reach_s: standard deviation of the Gaussian.

    Returns:
        (N, D) float64.
    """
    count = len(times_s)
    step_s = float(np.median(np.diff(times_s))) if count > 1 else reach_s
    reach = int(np.clip(np.ceil(3 * reach_s / max(step_s, _TINY)), 1, 15))
    around = np.arange(count)[:, None] + np.arange(-reach, reach + 1)[None]
    exists = (around >= 0) & (around < count)
    around = np.clip(around, 0, count - 1)
    apart = times_s[around] - times_s[:, None]
    weight = np.exp(-0.5 * (apart / reach_s) ** 2) * weights[around] * exists
    s0, s1, s2 = weight.sum(1), (weight * apart).sum(1), (weight * apart**2).sum(1)
    t0 = np.einsum("nk,nkd->nd", weight, values[around])
    t1 = np.einsum("nk,nkd->nd", weight * apart, values[around])
    spread = s0 * s2 - s1**2
    is_line = spread > 1e-6 * np.maximum(s0 * s2, _TINY)
    line = (s2[:, None] * t0 - s1[:, None] * t1) / np.where(is_line, spread, 1.0)[:, None]
    mean = t0 / np.maximum(s0, _TINY)[:, None]
    smoothed = np.where(is_line[:, None], line, mean)
    return np.where((s0 > _TINY)[:, None], smoothed, values)


def smooth(
    times_s: Float64Array,
    values: Float64Array,
    weights: Float64Array,
    sizes: Float64Array,
    options: SmoothingOptions,
) -> Float64Array:
    """Smooth strongly while a face moves evenly and hardly at all while it does not.

    Args:
        times_s: (N,) increasing.
        values: (N, D) in pixels.
        weights: (N,) confidence of each row: 1 observed, less where interpolated.
        sizes: (N,) size of the face in pixels.
        options: how strongly.

    Returns:
        (N, D) float64, never farther from `values` than `max_lag_ratio` of the size.
    """
    if len(times_s) < 3:
        return values.copy()
    slow = local_lines(times_s, values, weights, options.slow_s)
    fast = local_lines(times_s, values, weights, options.fast_s)
    # Noise changes its sign from frame to frame and goes away under a short mean; motion stays.
    even = _short_mean(values - slow)
    deviation = np.abs(even).max(1) / sizes
    span = options.motion_ratio - options.noise_ratio
    share = np.clip((deviation - options.noise_ratio) / span, 0.0, 1.0)
    share = _widest(share)[:, None]
    mixed = slow + share * (fast - slow)
    limit = (options.max_lag_ratio * sizes)[:, None]
    return np.asarray(values + np.clip(mixed - values, -limit, limit))


def _short_mean(values: Float64Array) -> Float64Array:
    padded = np.concatenate([values[:1], values, values[-1:]])
    return np.asarray((padded[:-2] + padded[1:-1] + padded[2:]) / 3)


def _widest(share: Float64Array) -> Float64Array:
    """The largest share of three neighbours, then evened out, so that it changes gently."""
    padded = np.pad(share, 1, mode="edge")
    return _short_mean(np.maximum(np.maximum(padded[:-2], padded[1:-1]), padded[2:])[:, None])[:, 0]


def fill_gaps(
    positions: NDArray[np.int64] | Float64Array, known: Float64Array, wanted: Float64Array
) -> Float64Array:
    """Linear interpolation of every column of `known` (K, D) at `wanted` (N,): (N, D) float64."""
    right = np.clip(np.searchsorted(positions, wanted), 1, max(len(positions) - 1, 1))
    if len(positions) == 1:
        return np.repeat(known, len(wanted), axis=0)
    low, high = positions[right - 1], positions[right]
    share = np.clip((wanted - low) / np.maximum(high - low, _TINY), 0.0, 1.0)[:, None]
    return np.asarray(known[right - 1] * (1 - share) + known[right] * share)


def longest_runs_only(
    flags: NDArray[np.bool_], times_s: Float64Array, min_run_s: float
) -> NDArray[np.bool_]:
    """Clear runs of True that last less than `min_run_s`; a run includes its last frame."""
    if not len(flags):
        return flags.copy()
    edges = np.flatnonzero(np.diff(flags)) + 1
    starts = np.concatenate([[0], edges])
    ends = np.concatenate([edges, [len(flags)]])
    step_s = float(np.median(np.diff(times_s))) if len(times_s) > 1 else 0.0
    lasts_s = times_s[ends - 1] - times_s[starts] + step_s
    keep = flags[starts] & (lasts_s >= min_run_s - 1e-6)
    return np.repeat(keep, ends - starts)
