"""The image protocol from pictures to figures; every part can be run on its own."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, Final

import numpy as np

from benchmarks.privacy_attacks import (
    guess_passwords,
    informed_attack,
    match_templates,
    parrot,
    two_passwords,
)
from benchmarks.privacy_bench import Bench, Settings
from benchmarks.privacy_measures import (
    Measures,
    identity_measures,
    recovery_measures,
    utility_measures,
)
from benchmarks.privacy_methods import Baseline, methods_version
from benchmarks.privacy_ours import (
    brought_back,
    judged_samples,
    one_each,
    our_measures,
    ours,
    padded_measures,
)
from benchmarks.privacy_product import Policy, angles_for
from benchmarks.privacy_recovery import after_codecs, protect_sample
from benchmarks.privacy_sample import Others, Sample, first_people, rows_of
from benchmarks.privacy_stats import summarise
from engines.arrays import UInt8Array
from streamer.rotation_kinds import RotationKind

__all__ = ["PARTS", "run_all"]

_KINDS: Final[tuple[RotationKind, ...]] = ("orthogonal", "reference")
# The ends of the levels, and the angle where each rotation hides most: the paper's has no 90.
_GRID_ANGLES: Final = {"orthogonal": (70.0, 90.0, 120.0), "reference": (70.0, 85.0, 120.0)}

Figures = dict[str, Any]


def _summed(per_seed: Sequence[Measures], samples: Sequence[Sample]) -> Figures:
    found = summarise(per_seed, [sample.identities for sample in samples])
    return {name: summary.as_dict() for name, summary in found.items()}


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
    for name, policy in ours(bench).items():
        samples = judged_samples(bench, policy)
        out[name] = _summed([our_measures(bench, s, policy) for s in samples], samples)
    if bench.settings.only_baselines:
        _remember_originals(bench)
    return out


def _remember_originals(bench: Bench) -> None:
    """Ask the judges about all originals, so that a run with other weights need not."""
    for judge in bench.judges:
        for sample in bench.samples:
            judge.embed(sample.probes)
            judge.embed(sample.gallery)
        judge.embed(bench.others.crops)


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
    for name, policy in ours(bench).items():
        if policy.angle_deg is not None:
            continue
        back = [brought_back(bench, sample, policy) for sample in bench.samples]
        for way in back[0][1]:
            rows = [ways[way] for _, ways in back]
            out[f"{name}: {way}"] = _summed(rows, [thin for thin, _ in back])
    return out


def codecs(bench: Bench) -> Figures:
    """Recovery in each way after video compression, in the default policy."""
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
    for policy in ours(bench).values():
        samples = judged_samples(bench, policy)
        for whole, sample in zip(bench.samples, samples, strict=True):
            angles = angles_for(policy, len(sample.probes), sample.seed)
            found = dict(our_measures(bench, sample, policy))
            if policy.angle_deg is None:
                for way, values in brought_back(bench, whole, policy)[1].items():
                    padded = padded_measures(values, len(sample.probes))
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
        if policy == Policy():
            out[policy.name] = _summed(_attacks_on_default(bench), bench.samples)
            continue
        sample = one_each(bench)[0]
        hits = informed_attack(bench.anonymizer, sample, fewer, policy, bench.readers())
        out[policy.name] = _summed([hits], [sample])
    return out


def _attacks_on_default(bench: Bench) -> list[Measures]:
    """All faces of `methods`: at chance, one of each person would give three hits a seed."""
    anonymizer, readers = bench.anonymizer, bench.readers()
    return [
        informed_attack(
            anonymizer,
            sample,
            bench.others,
            Policy(),
            readers,
            made=protect_sample(anonymizer, sample, Policy()).made,
        )
        for sample in bench.samples
    ]


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


def passwords(bench: Bench) -> Figures:
    """One picture under two passwords, and all people under one."""
    out: Figures = {}
    for policy in (Policy(), Policy(angle_deg=None)):
        rows = [two_passwords(bench.anonymizer, s, policy, bench.judges) for s in one_each(bench)]
        out[policy.name] = _summed(rows, one_each(bench))
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


PARTS: Final[Mapping[str, Callable[[Bench], Figures]]] = {
    "methods": methods,
    "recovery": recovery,
    "attacks": attacks,
    "templates": templates,
    "parrot": parrots,
    "passwords": passwords,
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
