"""The image protocol from pictures to figures; every part can be run on its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np

from benchmarks.privacy_attacks import guess_passwords, informed_attack, match_templates, parrot
from benchmarks.privacy_bench import Bench, Settings
from benchmarks.privacy_measures import (
    Measures,
    identity_measures,
    recovery_measures,
    utility_measures,
)
from benchmarks.privacy_methods import Baseline, methods_version
from benchmarks.privacy_product import Policy, angles_for
from benchmarks.privacy_recovery import after_codecs, protect_sample, recoveries
from benchmarks.privacy_sample import Others, Sample, first_each, first_people, rows_of
from benchmarks.privacy_stats import summarise
from engines.arrays import UInt8Array
from streamer.rotator import RotationKind

__all__ = ["OURS", "PARTS", "run_all"]

OURS: Final = {
    "ours, default (90°)": Policy(),
    "ours, random levels": Policy(angle_deg=None),
    "ours, paper mode, random levels": Policy("reference", None),
}
_KINDS: Final[tuple[RotationKind, ...]] = ("orthogonal", "reference")
# The ends of the levels, and the angle where each rotation hides most: the paper's has no 90.
_GRID_ANGLES: Final = {"orthogonal": (70.0, 90.0, 120.0), "reference": (70.0, 85.0, 120.0)}

Figures = dict[str, Any]


def _summed(per_seed: Sequence[Measures], samples: Sequence[Sample]) -> Figures:
    found = summarise(per_seed, [sample.identities for sample in samples])
    return {name: summary.as_dict() for name, summary in found.items()}


def _our_measures(bench: Bench, sample: Sample, policy: Policy) -> Measures:
    """Identity of all faces, utility of one of each person."""
    made = protect_sample(bench.anonymizer, sample, policy).made
    thin = first_each(sample, 1).probes
    useful = utility_measures(thin, made[: len(thin)], bench.reader)
    return identity_measures(sample, made, bench.judges) | _padded(useful, len(made))


def _padded(measures: Measures, count: int) -> Measures:
    """Measures of the first faces, unknown for the others."""
    out: Measures = {}
    for name, values in measures.items():
        out[name] = np.full(count, np.nan)
        out[name][: len(values)] = values
    return out


def _judged(bench: Bench, policy: Policy) -> list[Sample]:
    """What a policy is judged on: the paper's, which is there to compare, on one of each person."""
    return list(bench.samples) if policy.kind == "orthogonal" else one_each(bench)


def _brought_back(
    bench: Bench, sample: Sample, policy: Policy
) -> tuple[Sample, dict[str, Measures]]:
    """The faces that are brought back, and how well by each way."""
    count = bench.settings.recovery_per_person if policy.kind == "orthogonal" else 1
    thin = first_each(sample, count)
    made = protect_sample(bench.anonymizer, thin, policy)
    return thin, recoveries(bench.anonymizer, made, bench.judges)


def methods(bench: Bench) -> Figures:
    """Tables 1 and 2: baselines and ours on the same faces."""
    out: Figures = {}
    for baseline in bench.baselines:
        rows = []
        for sample in one_each(bench):
            made = _applied(bench, baseline, sample)
            useful = utility_measures(sample.probes, made, bench.reader)
            rows.append(identity_measures(sample, made, bench.judges) | useful)
        out[baseline.name] = _summed(rows, one_each(bench))
    for name, policy in _ours(bench).items():
        samples = _judged(bench, policy)
        out[name] = _summed([_our_measures(bench, s, policy) for s in samples], samples)
    return out


def _applied(bench: Bench, baseline: Baseline, sample: Sample) -> UInt8Array:
    label = f"baseline {baseline.name} {methods_version()}"
    return np.asarray(bench.memo.rows(label, baseline.apply, sample.probes), np.uint8)


def recovery(bench: Bench) -> Figures:
    """Tables 3 and 4; baselines are undone as in the paper."""
    out: Figures = {}
    samples = one_each(bench)
    for baseline in bench.baselines:
        undo = baseline.restore
        if undo is None:
            continue
        rows = []
        label = f"undo {baseline.name} {methods_version()}"
        for sample in samples:
            hidden = _applied(bench, baseline, sample)
            shown = np.asarray(bench.memo.rows(label, undo, hidden), np.uint8)
            rows.append(recovery_measures(sample.probes, shown, bench.judges))
        out[baseline.name] = _summed(rows, samples)
    for name, policy in _ours(bench).items():
        if policy.angle_deg is not None:
            continue
        back = [_brought_back(bench, sample, policy) for sample in bench.samples]
        for way in back[0][1]:
            rows = [ways[way] for _, ways in back]
            out[f"{name}: {way}"] = _summed(rows, [thin for thin, _ in back])
    return out


def codecs(bench: Bench) -> Figures:
    """Recovery by both ways after video compression, in the default policy."""
    sample = first_people(one_each(bench)[0], bench.settings.codec_people)
    protected = protect_sample(bench.anonymizer, sample, Policy())
    found = after_codecs(bench.anonymizer, protected, bench.judges)
    return {
        condition: {way: _summed([measures], [sample]) for way, measures in ways.items()}
        for condition, ways in found.items()
    }


def levels(bench: Bench) -> Figures:
    """Figs 5 and 7: distance, displacement and recovery over the angle, by both rotations.

    The faces are those of `methods` and `recovery`, sorted by the level that each was given.
    """
    rows: dict[str, list[tuple[Sample, np.ndarray, Measures]]] = {}
    for policy in _ours(bench).values():
        for sample in _judged(bench, policy):
            angles = angles_for(policy, len(sample.probes), sample.seed)
            found = _our_measures(bench, sample, policy)
            if policy.angle_deg is None:
                for way, values in _brought_back(bench, sample, policy)[1].items():
                    padded = _padded(values, len(sample.probes))
                    found |= {f"{way}: {name}": column for name, column in padded.items()}
            for angle in np.unique(angles):
                group = rows.setdefault(f"{policy.kind} {angle:g}", [])
                group.append((sample, angles == angle, found))
    return {name: _at_one_angle(rows[name]) for name in sorted(rows, key=_kind_and_angle)}


def _kind_and_angle(name: str) -> tuple[str, float]:
    kind, angle = name.split()
    return kind, float(angle)


def _at_one_angle(seeds: Sequence[tuple[Sample, np.ndarray, Measures]]) -> Figures:
    measures = [{name: v[kept] for name, v in found.items()} for _, kept, found in seeds]
    return _summed(measures, [rows_of(sample, kept) for sample, kept, _ in seeds])


def attacks(bench: Bench) -> Figures:
    """The informed attacker on the default policy, then on the grid of policies."""
    out: Figures = {}
    few = bench.settings.grid_others
    fewer = Others(bench.others.crops[:few], bench.others.people[:few])
    for policy in _attacked(bench.settings):
        is_default = policy == Policy()
        samples = one_each(bench)[: None if is_default else 1]
        others = bench.others if is_default else fewer
        rows = [
            informed_attack(bench.anonymizer, s, others, policy, bench.readers()) for s in samples
        ]
        out[policy.name] = _summed(rows, samples)
    return out


def _attacked(settings: Settings) -> list[Policy]:
    found = [Policy()]
    if not settings.grid:
        return [*found, Policy(scope="camera"), Policy("reference", 85.0, "camera")]
    for kind in _KINDS:
        for angle in _GRID_ANGLES[kind]:
            for scope in ("track", "recording", "camera"):
                found.append(Policy(kind, angle, scope))
    return list(dict.fromkeys(found))


def templates(bench: Bench) -> Figures:
    """Averages of several new faces of a person against the gallery."""
    sample = bench.samples[0]
    rows, owners = [], []
    for row, person in enumerate(sample.identities[np.unique(sample.people, return_index=True)[1]]):
        found = np.flatnonzero(bench.owners == person)
        shown = [i for i in found if not np.array_equal(bench.pictures[i], sample.gallery[row])]
        rows += shown[: bench.settings.template_pictures]
        owners += [row] * len(shown[: bench.settings.template_pictures])
    out: Figures = {}
    people = replace(sample, identities=np.unique(np.array(owners)))
    for policy in (Policy(), Policy("reference", 85.0)):
        hits = match_templates(
            bench.anonymizer,
            bench.pictures[rows],
            np.array(owners),
            sample.gallery,
            bench.readers(),
            policy,
        )
        out[policy.name] = _summed([hits], [people])
    return out


def parrots(bench: Bench) -> Figures:
    """Linking new faces to earlier new faces, with one key and with two."""
    out: Figures = {}
    for same_key in (True, False):
        rows = [
            parrot(bench.anonymizer, s, Policy(), bench.readers(), same_key=same_key)
            for s in one_each(bench)
        ]
        name = "one key" if same_key else "a key for each picture"
        out[name] = _summed(rows, one_each(bench))
    return out


def guessing(bench: Bench) -> Figures:
    """Password guessing with a gallery and all faces under one key."""
    out: Figures = {}
    for policy in (Policy(), Policy("reference", 85.0)):
        faces = min(30, len(bench.samples[0].probes))
        found = guess_passwords(
            bench.anonymizer,
            bench.samples[0],
            policy,
            guesses=bench.settings.guesses,
            faces=faces,
        )
        out[policy.name] = {**asdict(found), "faces": faces}
    return out


def _ours(bench: Bench) -> dict[str, Policy]:
    return {} if bench.settings.only_baselines else OURS


def one_each(bench: Bench) -> list[Sample]:
    """The samples with one probe of each person."""
    return [first_each(sample, 1) for sample in bench.samples]


PARTS: Final[Mapping[str, Callable[[Bench], Figures]]] = {
    "methods": methods,
    "recovery": recovery,
    "attacks": attacks,
    "templates": templates,
    "parrot": parrots,
    "guessing": guessing,
    "levels": levels,
    "codecs": codecs,
}


def run_all(bench: Bench, parts: Sequence[str] = ()) -> Figures:
    """The figures of the named parts, or of all.

    Each part is announced on standard error, since some take minutes.
    """
    cost_s: dict[str, float] = {}
    out: Figures = {
        "settings": {**asdict(bench.settings), "people": len(bench.samples[0].gallery)},
        "weights": {
            "encoder": bench.anonymizer.encoder_sha256,
            "generator": bench.anonymizer.generator_sha256,
        },
        "judges": {
            judge.name: {
                "thresholds": dict(judge.thresholds),
                "accepted_genuine": dict(judge.accepted_genuine),
                "accepted_strangers": dict(judge.accepted_strangers),
            }
            for judge in bench.judges
        },
    }
    for name, part in PARTS.items():
        if not parts or name in parts:
            print(f"{name} ...", file=sys.stderr, flush=True)
            start_s = time.process_time()
            out[name] = part(bench)
            cost_s[name] = round(time.process_time() - start_s, 1)
    return {**out, "cpu_s": cost_s}
