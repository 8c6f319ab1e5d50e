"""Attackers find what is there to be found, and nothing where there is nothing."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pytest

from benchmarks.privacy_attacks import (
    guess_passwords,
    informed_attack,
    match_templates,
    parrot,
    two_passwords,
)
from benchmarks.privacy_maps import LEARNERS
from benchmarks.privacy_product import Policy, angles_for, secret_key
from engines.arrays import Float32Array, Float64Array
from streamer.rotation_kinds import RotationKind
from tests.benchmarks.privacy_fakes import (
    DIM,
    LeakyAnonymizer,
    PerfectAnonymizer,
    exact_judge,
    make_others,
    make_sample,
    people,
)

READERS = {"exact": exact_judge()}


def _rate(anonymizer: PerfectAnonymizer, policy: Policy, attacker: str) -> float:
    found = informed_attack(anonymizer, make_sample(), make_others(), policy, READERS)
    return float(found[f"exact {attacker}"].mean())


@pytest.mark.parametrize("kind", ["ridge", "network"])
def test_known_plaintext_under_one_key_gives_everybody_away(kind: str) -> None:
    assert _rate(PerfectAnonymizer(), Policy(scope="camera"), kind) > 0.9


def test_without_a_map_a_right_angle_hides() -> None:
    assert _rate(PerfectAnonymizer(), Policy(scope="camera"), "no map") < 0.25


@pytest.mark.parametrize("attacker", ["no map", "ridge", "network"])
def test_a_key_for_each_picture_leaves_chance(attacker: str) -> None:
    assert _rate(PerfectAnonymizer(), Policy(scope="track"), attacker) < 0.2


def test_what_shows_through_is_found_in_track_scope() -> None:
    assert _rate(LeakyAnonymizer(), Policy(scope="track"), "ridge") > 0.4


def test_a_recording_gives_away_less_than_a_camera() -> None:
    crowd, others = make_sample(count=150, per_person=1), make_others()
    rates = [
        informed_attack(PerfectAnonymizer(), crowd, others, Policy(scope=scope), READERS)
        for scope in ("recording", "camera")
    ]
    few, many = (float(found["exact ridge"].mean()) for found in rates)
    assert few < many


@pytest.mark.parametrize("kind", sorted(LEARNERS))
def test_maps_learn_a_hidden_rotation(kind: str) -> None:
    rng = np.random.default_rng(0)
    turn, _ = np.linalg.qr(rng.normal(size=(DIM, DIM)))
    wanted = rng.normal(size=(300, DIM))
    wanted = (wanted / np.linalg.norm(wanted, axis=1, keepdims=True)).astype(np.float32)
    seen = (wanted @ turn).astype(np.float32)
    guess = LEARNERS[kind](seen[:250], wanted[:250], np.arange(250))(seen[250:])
    assert float((guess * wanted[250:]).sum(1).mean()) > 0.8


def test_faces_that_are_there_already_are_not_made_again() -> None:
    sample, others = make_sample(), make_others()
    args = (PerfectAnonymizer(), sample, others, Policy(), READERS)
    # The attacker is shown the originals, whatever the policy says of them.
    found = informed_attack(*args, made=sample.probes)
    assert found["exact no map"].mean() == 1
    with pytest.raises(ValueError, match="key"):
        informed_attack(
            PerfectAnonymizer(), sample, others, Policy(scope="camera"), READERS, made=sample.probes
        )


class Keyless(PerfectAnonymizer):
    """Forgets to turn."""

    def turned(
        self,
        identities: Float32Array,
        keys: Sequence[bytes],
        angles_deg: Float64Array,
        *,
        kind: RotationKind = "orthogonal",
    ) -> Float32Array:
        return identities


def test_two_passwords_give_two_faces_if_there_is_a_key() -> None:
    args = (make_sample(), Policy(), [exact_judge()])
    turned, same = (two_passwords(a, *args) for a in (PerfectAnonymizer(), Keyless()))
    assert turned["exact two passwords FAR 1e-3"].mean() > 0.95
    assert same["exact two passwords FAR 1e-3"].mean() == 0
    assert turned["exact two people FAR 1e-3"].mean() > 0.95


def test_people_whom_a_judge_cannot_tell_apart_are_one() -> None:
    blind = dataclasses.replace(exact_judge(), thresholds={"FAR 1e-3": 2.0})
    found = two_passwords(PerfectAnonymizer(), make_sample(), Policy(), [blind])
    assert found["exact two people FAR 1e-3"].mean() == 0


def test_templates_average_what_single_faces_hide() -> None:
    crops, owners = people(60, 6, 5)
    gallery = crops[::6]
    rest = np.setdiff1d(np.arange(len(crops)), np.arange(0, len(crops), 6))
    found = match_templates(
        LeakyAnonymizer(), crops[rest], owners[rest], gallery, READERS, Policy()
    )
    single = [
        match_templates(LeakyAnonymizer(), crops[i::6], owners[i::6], gallery, READERS, Policy())[
            "exact"
        ].mean()
        for i in range(1, 6)
    ]
    assert found["exact"].mean() >= np.mean(single) - 1e-9


def test_the_parrot_links_under_one_key_only() -> None:
    sample = make_sample()
    one = parrot(PerfectAnonymizer(), sample, Policy(), READERS, same_key=True)
    two = parrot(PerfectAnonymizer(), sample, Policy(), READERS, same_key=False)
    assert one["exact rank-1"].mean() == 1
    assert two["exact rank-1"].mean() < 0.25
    assert one["exact strangers accepted"].mean() < 0.05


def test_a_gallery_confirms_the_right_password() -> None:
    found = guess_passwords(PerfectAnonymizer(), make_sample(), Policy(), guesses=8, faces=12)
    assert found.right_first > 0.9
    assert found.right_first_together
    assert found.z_together > 5


def test_guesses_without_the_right_one_stand_out_nowhere() -> None:
    sample = make_sample()
    stranger = people(12, 1, 77)[0]
    found = guess_passwords(
        PerfectAnonymizer(), sample, Policy(), guesses=8, faces=12, made=stranger
    )
    assert found.right_first < 0.6


def test_keys_differ_by_purpose_and_stay_the_same() -> None:
    assert secret_key("a", 1) == secret_key("a", 1)
    assert secret_key("a", 1) != secret_key("a", 2)
    assert len(secret_key("a")) == 32


def test_levels_are_drawn_where_the_policy_has_no_angle() -> None:
    drawn = angles_for(Policy(angle_deg=None), 200, 0)
    levels = {70, 75, 80, 85, 95, 100, 105, 110, 115, 120}
    # Each as often as any other, in any ten pictures; in an order of the seed's own.
    assert all(set(drawn[start : start + 10]) == levels for start in range(0, 200, 10))
    assert not np.array_equal(drawn, angles_for(Policy(angle_deg=None), 200, 1))
    np.testing.assert_array_equal(drawn[:45], angles_for(Policy(angle_deg=None), 45, 0))
    assert set(angles_for(Policy(), 3, 0)) == {90}
