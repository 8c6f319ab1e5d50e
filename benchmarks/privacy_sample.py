"""Who is measured: for each seed other pictures of the held-out people, and other passwords."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.clips import BenchmarkError
from benchmarks.generator_material import HeldOut, load_held_out
from engines.arrays import UInt8Array
from training.crops import read_index, read_tar_crops

__all__ = [
    "Others",
    "Sample",
    "draw_sample",
    "first_each",
    "first_people",
    "load_others",
    "load_people",
    "rows_of",
    "turns_of",
]

# Prefixes of training sources whose pictures carry identities.
_NAMED: Final = ("celeba", "vgg2")
_ALL_PICTURES: Final = 99


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The pictures of one seed; row i of `probes`, `people` is one face.

    A picture of each person comes first, then another of each, and so on: the first rows are a
    smaller sample, under the same keys and angles.

    Attributes:
        seed: which one.
        probes: (N, 160, 160, 3) uint8 RGB, the faces to protect.
        people: (N,) row of the face's person in `gallery`.
        gallery: (P, 160, 160, 3) another picture of each person, as an attacker has it.
        identities: (N,) number of the person among all that are held out, the same in every seed.
    """

    seed: int
    probes: UInt8Array
    people: np.ndarray
    gallery: UInt8Array
    identities: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Others:
    """Pictures of people who are not held out, for an attacker to learn from.

    Attributes:
        crops: (N, 160, 160, 3) uint8 RGB.
        people: (N,) number of the person.
    """

    crops: UInt8Array
    people: np.ndarray


def load_people(shared: Path) -> HeldOut:
    """All pictures of the held-out identities.

    Raises:
        BenchmarkError: they are not there.
    """
    if not (shared / "faces" / "eval" / "celeba_ids.csv").is_file():
        raise BenchmarkError(f"no held-out faces in {shared / 'faces' / 'eval'} (see --shared)")
    return load_held_out(shared, per_person=_ALL_PICTURES)


def draw_sample(
    held: HeldOut, seed: int, *, per_person: int | None = None, people: int | None = None
) -> Sample:
    """Pictures for one seed.

    Args:
        held: everybody.
        seed: other seeds give other probes and galleries, and other people where not all fit.
        per_person: probes of each person, fewer where there are not enough; None means all.
        people: how many people; None means all.
    """
    rng = np.random.default_rng(seed)
    count = int(held.people.max()) + 1
    chosen = np.sort(rng.permutation(count)[: people or count])
    gallery: list[int] = []
    probes: list[tuple[int, int, int]] = []
    for row, person in enumerate(chosen):
        pictures = rng.permutation(np.flatnonzero(held.people == person))
        gallery.append(int(pictures[0]))
        taken = pictures[1 : None if per_person is None else 1 + per_person]
        probes.extend((turn, row, int(picture)) for turn, picture in enumerate(taken))
    _, people_of, numbers = np.array(sorted(probes)).T
    crops = held.crops
    return Sample(
        seed, crops[numbers], people_of, crops[np.array(gallery)], identities=chosen[people_of]
    )


def first_each(sample: Sample, count: int) -> Sample:
    """The first rows of a sample: at most `count` probes of each person."""
    kept = turns_of(sample.people) < count
    return sample if kept.all() else rows_of(sample, kept)


def turns_of(people: np.ndarray) -> np.ndarray:
    """How many faces of the same person come before each; (N,)."""
    turns, seen = np.zeros(len(people), np.int64), Counter[int]()
    for row, person in enumerate(people.tolist()):
        turns[row] = seen[person]
        seen[person] += 1
    return turns


def first_people(sample: Sample, count: int) -> Sample:
    """The faces of the sample's first people; the gallery stays whole."""
    return rows_of(sample, sample.people < count)


def rows_of(sample: Sample, kept: np.ndarray) -> Sample:
    """Some faces of a sample; the gallery stays whole. `kept` is (N,) bool."""
    return replace(
        sample,
        probes=sample.probes[kept],
        people=sample.people[kept],
        identities=sample.identities[kept],
    )


def load_others(shared: Path, count: int) -> Others:
    """`count` pictures of training identities, spread over people.

    None of them is a held-out person, so an attacker could have photographed them.
    """
    folder = shared / "faces" / "train"
    rows = [r for r in read_index(folder / "index.csv") if r["source"] in _NAMED and r["identity"]]
    by_person: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        by_person.setdefault(row["identity"], []).append(row)
    order = [
        pictures[turn]
        for turn in range(max(map(len, by_person.values()), default=0))
        for _, pictures in sorted(by_person.items())
        if turn < len(pictures)
    ][:count]
    numbers = {name: index for index, name in enumerate(sorted(by_person))}
    tars = [folder / name for name in sorted({row["shard"] for row in order})]
    crops = read_tar_crops(tars, [row["file"] for row in order], size_px=160)
    return Others(crops, np.array([numbers[row["identity"]] for row in order]))
