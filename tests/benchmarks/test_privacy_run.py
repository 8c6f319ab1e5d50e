from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

from benchmarks import privacy_ours, privacy_recovery
from benchmarks.judges_cache import Memo
from benchmarks.privacy_bench import Bench, Settings
from benchmarks.privacy_measures import Measures
from benchmarks.privacy_ours import one_each
from benchmarks.privacy_run import run_all
from benchmarks.privacy_sample import first_people
from benchmarks.privacy_tables import all_tables
from engines.arrays import UInt8Array
from tests.benchmarks.privacy_fakes import (
    PerfectAnonymizer,
    exact_judge,
    make_others,
    make_sample,
    people,
)

ATTACKS = ("attacks", "templates", "parrot", "passwords", "guessing")


def _bench(seeds: int = 2) -> Bench:
    pictures, owners = people(20, 4, 0)
    judge = dataclasses.replace(
        exact_judge(), accepted_genuine={"FAR 1e-3": 1.0}, accepted_strangers={"FAR 1e-3": 1e-3}
    )
    return Bench(
        settings=dataclasses.replace(Settings.quick(), seeds=seeds),
        samples=[make_sample(seed=seed) for seed in range(seeds)],
        pictures=pictures,
        owners=owners,
        others=make_others(),
        anonymizer=PerfectAnonymizer(),
        judges=[judge],
        reader=None,  # type: ignore[arg-type] # the attacks read no landmarks
        baselines=[],
        memo=Memo(None),
    )


@pytest.mark.slow
def test_attacks_tell_the_scopes_apart() -> None:
    results = run_all(_bench(), ATTACKS)
    json.dumps(results)
    found = results["attacks"]
    assert found["orthogonal 90°, camera"]["exact no map"]["mean"] < 0.3
    assert found["orthogonal 90°, track"]["exact ridge"]["mean"] < 0.2
    assert results["parrot"]["one key"]["exact rank-1"]["mean"] == 1
    assert results["parrot"]["a key for each picture"]["exact rank-1"]["mean"] < 0.3
    differs = results["passwords"]["orthogonal random levels, track"]
    assert differs["exact two passwords FAR 1e-3"]["mean"] > 0.95
    # All faces of both seeds, and for the default policy all pictures, not one of each person.
    assert differs["exact two passwords FAR 1e-3"]["faces"] == 40
    assert found["orthogonal 90°, track"]["exact no map"]["faces"] == 80
    guess = results["guessing"]["orthogonal 90°, track"]
    assert guess["right_first_together"]
    assert set(all_tables({**results, "judges": {}})) >= {"Informed attacker", "Parrot test"}


def test_one_each_keeps_rows_together() -> None:
    bench = _bench(seeds=1)
    whole, thin = bench.samples[0], one_each(bench)[0]
    assert len(thin.probes) == len(np.unique(whole.people)) == 20
    rows = [int(np.flatnonzero(whole.people == person)[0]) for person in thin.people]
    np.testing.assert_array_equal(thin.probes, whole.probes[rows])
    few = first_people(thin, 5)
    assert len(few.probes) == 5
    assert len(few.gallery) == 20


def _identity_only(originals: UInt8Array, shown: UInt8Array, *_: object) -> Measures:
    return {"same": (np.abs(originals.astype(int) - shown).max((1, 2, 3)) < 3).astype(np.float64)}


def test_levels_are_the_same_faces_sorted_by_angle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(privacy_ours, "utility_measures", _identity_only)
    monkeypatch.setattr(privacy_recovery, "recovery_measures", _identity_only)
    found = run_all(_bench(), ("methods", "recovery", "levels"))
    drawn, levels = found["methods"]["ours, random levels"], found["levels"]
    turned = [f"orthogonal {angle:g}" for angle in (70, 75, 80, 85, 95, 100, 105, 110, 115, 120)]
    assert [n for n in levels if n.startswith("orth")] == sorted(
        [*turned, "orthogonal 90"], key=lambda n: float(n.split()[1])
    )
    # Two seeds, 20 people with two pictures each: 80 faces, as many at each level.
    assert [levels[name]["exact Id-dis"]["faces"] for name in turned] == [8] * 10
    distances = [levels[name]["exact Id-dis"]["mean"] for name in turned]
    assert distances == sorted(distances)
    assert np.mean(distances) == pytest.approx(drawn["exact Id-dis"]["mean"])
    assert drawn["same"]["faces"] == 40
    back = [levels[name]["generative: same"]["mean"] for name in turned]
    whole = found["recovery"]["ours, random levels: generative"]["same"]["mean"]
    assert np.mean(back) == pytest.approx(whole)
    assert "generative: same" not in levels["orthogonal 90"]


def test_settings_for_a_look_are_small() -> None:
    quick, full = Settings.quick(), Settings()
    assert quick.seeds == 1
    assert quick.people is not None
    assert full.people is None
    assert quick.others < full.others
    assert not quick.grid
