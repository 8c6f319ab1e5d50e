"""Attackers who know everything but the key: informed, patient, guessing, and the parrot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from benchmarks.judges import ImageJudge, distance_matrix, row_distances, unit_rows
from benchmarks.privacy_maps import LEARNERS
from benchmarks.privacy_measures import ranks
from benchmarks.privacy_product import Anonymizer, Policy, angles_for, secret_key
from benchmarks.privacy_sample import Others, Sample
from engines.arrays import Float32Array, Float64Array, UInt8Array

__all__ = [
    "Guessing",
    "guess_passwords",
    "informed_attack",
    "keys_for",
    "match_templates",
    "parrot",
    "protect",
    "protect_with_keys",
    "two_passwords",
]

# People whom the attacker knows by name in one recording; in camera scope all others are known.
RECORDING_KNOWN: Final = 20

Measures = dict[str, Float64Array]


def keys_for(policy: Policy, count: int, *purpose: object) -> list[bytes]:
    """The key of each picture: its own in track scope, otherwise one for all."""
    shared = policy.scope != "track"
    return [secret_key(*purpose, 0 if shared else row) for row in range(count)]


def protect(
    anonymizer: Anonymizer, crops: UInt8Array, policy: Policy, seed: int, *purpose: object
) -> UInt8Array:
    """The crops under a policy, with the keys of a purpose."""
    made, _, _ = protect_with_keys(anonymizer, crops, policy, seed, *purpose)
    return made


def protect_with_keys(
    anonymizer: Anonymizer, crops: UInt8Array, policy: Policy, seed: int, *purpose: object
) -> tuple[UInt8Array, list[bytes], Float64Array]:
    """The same, the key of each picture, and its angle in degrees (N,)."""
    angles = angles_for(policy, len(crops), seed)
    first = keys_for(policy, len(crops), *purpose)
    keys, drawn = anonymizer.chosen(crops, first, angles, policy)
    wanted = anonymizer.turned(drawn, keys, angles, kind=policy.kind)
    return anonymizer.protected(crops, wanted), keys, angles


def informed_attack(
    anonymizer: Anonymizer,
    sample: Sample,
    others: Others,
    policy: Policy,
    readers: Mapping[str, ImageJudge],
    *,
    made: UInt8Array | None = None,
) -> Measures:
    """Rank-1 hits of an attacker who trains on other people, per reader and kind of map.

    The attacker runs the public product on photographs of other people and fits a map from what a
    recogniser reads in the new face to what it reads in the old one. In track scope every picture
    has its own key, the target's too. In recording and camera scope the other people stand before
    the same camera as the target: few in one recording, all of them in camera scope, and the
    attacker knows who they are. That is known plaintext under the target's own key.

    Args:
        anonymizer: the product.
        sample: targets and gallery.
        others: whom the attacker learns from.
        policy: rotation, angle and scope.
        readers: recognisers that the attacker has beside the product's own reader.
        made: the probes' new faces where they are there already; in track scope only, where no
            other picture shares their keys.

    Returns:
        "reader map" to (N,) 1.0 where the right person of the gallery came first.
    """
    purpose = ("informed", sample.seed)
    known = RECORDING_KNOWN if policy.scope == "recording" else len(others.crops)
    # Recording and camera scope ask for the same pictures: one key for everything.
    drawn = replace(policy, scope="camera") if policy.scope == "recording" else policy
    if made is None:
        pictures = np.concatenate([others.crops, sample.probes])
        both = protect(anonymizer, pictures, drawn, sample.seed, *purpose)
        made_others, made_probes = both[:known], both[len(others.crops) :]
    elif policy.scope == "track":
        made_others = protect(anonymizer, others.crops, policy, sample.seed, *purpose)
        made_probes = made
    else:
        raise ValueError("the others' faces must be made under the probes' key")
    eyes = {name: (reader.embed, reader.embed) for name, reader in readers.items()}
    eyes["reader of wanted identities"] = (anonymizer.read, anonymizer.identities)
    out: Measures = {}
    for name, (of_new, of_real) in eyes.items():
        gallery = unit_rows(of_real(sample.gallery))
        seen = unit_rows(of_new(made_probes))
        out[f"{name} no map"] = _first(seen, gallery, sample.people)
        lesson = unit_rows(of_new(made_others))
        wanted = unit_rows(of_real(others.crops[:known]))
        for kind, learn in LEARNERS.items():
            guess = learn(lesson, wanted, others.people[:known])(seen)
            out[f"{name} {kind}"] = _first(guess, gallery, sample.people)
    return out


def _first(probes: Float32Array, gallery: Float32Array, people: np.ndarray) -> Float64Array:
    place = ranks(distance_matrix(probes, gallery), people)
    return (place < 0.5).astype(np.float64)


def match_templates(
    anonymizer: Anonymizer,
    pictures: UInt8Array,
    owners: np.ndarray,
    gallery: UInt8Array,
    readers: Mapping[str, ImageJudge],
    policy: Policy,
) -> Measures:
    """Rank-1 hits when all new faces of a track are averaged before matching.

    Args:
        anonymizer: the product.
        pictures: (N, 160, 160, 3) several of each person; they are one track, under one key.
        owners: (N,) row of the person in the gallery.
        gallery: (P, 160, 160, 3).
        readers: recognisers.
        policy: rotation and angle; the scope is the track.

    Returns:
        Reader to (P',) one value for each person that has pictures.
    """
    identities = anonymizer.identities(pictures)
    names = np.unique(owners)
    wanted = np.empty_like(identities)
    for person in names:
        rows = owners == person
        mean = unit_rows(identities[rows].mean(0, keepdims=True))
        key = [secret_key("template", int(person))]
        turned = anonymizer.turned(mean, key, angles_for(policy, 1, int(person)), kind=policy.kind)
        wanted[rows] = turned
    made = anonymizer.protected(pictures, wanted)
    out: Measures = {}
    for name, reader in readers.items():
        seen = unit_rows(reader.embed(made))
        means = unit_rows(np.stack([seen[owners == person].mean(0) for person in names]))
        out[name] = _first(means, unit_rows(reader.embed(gallery)), names)
    return out


def parrot(
    anonymizer: Anonymizer,
    sample: Sample,
    policy: Policy,
    readers: Mapping[str, ImageJudge],
    *,
    same_key: bool,
) -> Measures:
    """Can a new face be linked to an earlier new face of the same person?

    The attacker enrols an anonymised picture of every person of the gallery, names known, and
    matches anonymised probes. With `same_key` both are in one recording or camera; otherwise
    every picture has a key of its own.

    Returns:
        Per reader: rank-1 hits, and whether the pair is accepted at FAR 1e-3.
    """
    used = replace(policy, scope="camera" if same_key else "track")
    enrolled = protect(anonymizer, sample.gallery, used, sample.seed, "parrot", same_key, "a")
    purpose = "a" if same_key else "b"
    probes = protect(anonymizer, sample.probes, used, sample.seed, "parrot", same_key, purpose)
    out: Measures = {}
    for name, reader in readers.items():
        distances = distance_matrix(reader.embed(probes), reader.embed(enrolled))
        out[f"{name} rank-1"] = (ranks(distances, sample.people) < 0.5).astype(np.float64)
        limit = reader.thresholds.get("FAR 1e-3")
        if limit is not None:
            rows = np.arange(len(sample.people))
            own = distances[rows, sample.people]
            out[f"{name} accepted"] = (own <= limit).astype(np.float64)
            strangers = distances.copy()
            strangers[rows, sample.people] = np.nan
            out[f"{name} strangers accepted"] = np.nanmean(strangers <= limit, axis=1)
    return out


def two_passwords(
    anonymizer: Anonymizer, sample: Sample, policy: Policy, judges: Sequence[ImageJudge]
) -> Measures:
    """Does another password give another face, and one password different people different faces?

    Args:
        anonymizer: the product.
        sample: each probe is put under two passwords, and all of them under a third.
        policy: rotation and angle.
        judges: calibrated.

    Returns:
        Per judge and threshold: 1.0 where the two faces of a picture are two people for it, and
        the share of the others' faces under the same password that are.
    """
    track, camera = replace(policy, scope="track"), replace(policy, scope="camera")
    probes, seed = sample.probes, sample.seed
    # The keys of `protect_sample` and `parrot`: their faces are there already.
    first = protect(anonymizer, probes, track, seed, "sample", seed)
    second = protect(anonymizer, probes, track, seed, "parrot", False, "b")
    third = protect(anonymizer, probes, camera, seed, "parrot", True, "a")
    is_other = sample.people[:, None] != sample.people[None]
    out: Measures = {}
    for judge in judges:
        own = row_distances(judge.embed(first), judge.embed(second))
        seen = judge.embed(third)
        between = np.where(is_other, distance_matrix(seen, seen), np.nan)
        for name, limit in judge.thresholds.items():
            out[f"{judge.name} two passwords {name}"] = (own > limit).astype(np.float64)
            differs = np.where(np.isnan(between), np.nan, between > limit)
            out[f"{judge.name} two people {name}"] = np.nanmean(differs, axis=1)
    return out


@dataclass(frozen=True, slots=True)
class Guessing:
    """How well a gallery confirms a guessed password.

    Attributes:
        guesses: how many were tried, the right one among them.
        right_first: share of single faces for which the right one fits the gallery best.
        right_first_together: whether it does when all faces under the key are taken together.
        z_together: how far the right one then stands out, in standard deviations of wrong ones.
    """

    guesses: int
    right_first: float
    right_first_together: bool
    z_together: float


def guess_passwords(
    anonymizer: Anonymizer,
    sample: Sample,
    policy: Policy,
    *,
    guesses: int,
    faces: int,
    made: UInt8Array | None = None,
) -> Guessing:
    """Turn new faces back with each guess and see which guess gives people of the gallery.

    All faces are under one key, as in camera scope, where the salt is known: the worst case.

    Args:
        anonymizer: the product.
        sample: probes and gallery.
        policy: rotation and angle.
        guesses: passwords tried, the right one first.
        faces: how many probes.
        made: their anonymised pictures, for tests; made here by default.
    """
    angles = angles_for(policy, faces, sample.seed)
    used = replace(policy, scope="camera")
    if made is None:
        made = protect(anonymizer, sample.probes[:faces], used, sample.seed, "guess")
    read = anonymizer.read(made)
    gallery = anonymizer.identities(sample.gallery)
    scores = []
    for guess in range(guesses):
        key = secret_key("guess", 0) if guess == 0 else secret_key("guess wrong", guess)
        back = anonymizer.turned_back(read, [key] * faces, angles, kind=policy.kind)
        scores.append((back @ gallery.T).max(1))
    return summarise_guesses(scores)


def summarise_guesses(scores: Sequence[Float64Array] | Sequence[Float32Array]) -> Guessing:
    """Verdict from the best gallery cosine of each face; the first row is the right password."""
    table = np.asarray(scores, np.float64)
    together = table.mean(1)
    wrong = together[1:]
    return Guessing(
        guesses=len(table),
        right_first=float((table.argmax(0) == 0).mean()),
        right_first_together=bool(together.argmax() == 0),
        z_together=float((together[0] - wrong.mean()) / max(float(wrong.std()), 1e-12)),
    )
