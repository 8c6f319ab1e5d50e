"""Means over faces with what they are worth: bootstrap over identities, spread over seeds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from engines.arrays import Float64Array

__all__ = ["Summary", "bootstrap_interval", "summarise"]

_RESAMPLES: Final = 1000
_LEVEL: Final = 0.95


@dataclass(frozen=True, slots=True)
class Summary:
    """A mean over the faces of all seeds.

    Attributes:
        mean: over faces; NaN where no face could be measured.
        low: lower end of the 95 % interval, from resampling identities.
        high: upper end.
        seeds_sd: standard deviation between the seeds' means; 0 for one seed.
        faces: how many were measured.
    """

    mean: float
    low: float
    high: float
    seeds_sd: float
    faces: int

    def as_dict(self) -> dict[str, float | int | None]:
        """For JSON, which knows no NaN."""
        return {
            name: None if isinstance(value, float) and not np.isfinite(value) else value
            for name, value in asdict(self).items()
        }


def bootstrap_interval(
    values: Float64Array, people: np.ndarray, *, resamples: int = _RESAMPLES
) -> tuple[float, float]:
    """95 % interval of the mean when whole identities are drawn with replacement.

    Faces of one person are alike, so drawing faces would claim too much.

    Args:
        values: (N,) finite.
        people: (N,) whose face it is.
        resamples: number of draws.
    """
    _, owner = np.unique(people, return_inverse=True)
    sums = np.bincount(owner, values)
    counts = np.bincount(owner)
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(counts), (resamples, len(counts)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    tail = 100 * (1 - _LEVEL) / 2
    return float(np.percentile(means, tail)), float(np.percentile(means, 100 - tail))


def summarise(
    per_seed: Sequence[Mapping[str, Float64Array]], people: Sequence[np.ndarray]
) -> dict[str, Summary]:
    """Summaries of all measures.

    Args:
        per_seed: for each seed, name of the measure to one value a face; NaN: not measurable.
        people: for each seed, (N,) number of each face's person.
    """
    out = {}
    for name in per_seed[0]:
        values = np.concatenate([seed[name] for seed in per_seed])
        owners = np.concatenate([np.asarray(rows) for rows in people])
        known = np.isfinite(values)
        if not known.any():
            out[name] = Summary(float("nan"), float("nan"), float("nan"), 0.0, 0)
            continue
        means = [
            float(np.nanmean(seed[name])) for seed in per_seed if np.isfinite(seed[name]).any()
        ]
        low, high = bootstrap_interval(values[known], owners[known])
        spread = float(np.std(means, ddof=1)) if len(means) > 1 else 0.0
        out[name] = Summary(float(values[known].mean()), low, high, spread, int(known.sum()))
    return out
