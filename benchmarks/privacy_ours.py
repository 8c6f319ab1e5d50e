"""Our own rows of the tables: which policies, judged on which faces, each worked out once a run."""

from __future__ import annotations

from functools import cache
from typing import Final

import numpy as np

from benchmarks.privacy_bench import Bench
from benchmarks.privacy_measures import Measures, identity_measures, utility_measures
from benchmarks.privacy_product import Policy
from benchmarks.privacy_recovery import protect_sample, recoveries
from benchmarks.privacy_sample import Sample, first_each

__all__ = [
    "OURS",
    "brought_back",
    "judged_samples",
    "one_each",
    "our_measures",
    "ours",
    "padded_measures",
]

OURS: Final = {
    "ours, default (90°)": Policy(),
    "ours, random levels": Policy(angle_deg=None),
    "ours, paper mode, random levels": Policy("reference", None),
}


def ours(bench: Bench) -> dict[str, Policy]:
    """Our rows; none where only baselines are asked for."""
    return {} if bench.settings.only_baselines else OURS


@cache
def one_each(bench: Bench) -> list[Sample]:
    """The samples with one probe of each person."""
    return [first_each(sample, 1) for sample in bench.samples]


def judged_samples(bench: Bench, policy: Policy) -> list[Sample]:
    """What a policy is judged on: the paper's, which is there to compare, on one of each person."""
    return list(bench.samples) if policy.kind == "orthogonal" else one_each(bench)


# Tables and plots ask for the same figures; the bench and its samples are never changed.
@cache
def our_measures(bench: Bench, sample: Sample, policy: Policy) -> Measures:
    """Identity of all faces, utility of one of each person."""
    made = protect_sample(bench.anonymizer, sample, policy).made
    thin = first_each(sample, 1).probes
    useful = utility_measures(thin, made[: len(thin)], bench.reader)
    return identity_measures(sample, made, bench.judges) | padded_measures(useful, len(made))


def padded_measures(measures: Measures, count: int) -> Measures:
    """Measures of the first faces, unknown (NaN) for the others up to `count`."""
    out: Measures = {}
    for name, values in measures.items():
        out[name] = np.full(count, np.nan)
        out[name][: len(values)] = values
    return out


@cache
def brought_back(
    bench: Bench, sample: Sample, policy: Policy
) -> tuple[Sample, dict[str, Measures]]:
    """The faces of a whole sample that are brought back, and how well by each way."""
    count = bench.settings.recovery_per_person if policy.kind == "orthogonal" else 1
    thin = sample if count is None else first_each(sample, count)
    made = protect_sample(bench.anonymizer, thin, policy)
    return thin, recoveries(bench.anonymizer, made, bench.judges)
