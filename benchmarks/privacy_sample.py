"""Who is measured: for each seed other pictures of the held-out people, and other passwords."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.clips import BenchmarkError
from benchmarks.generator_material import HeldOut, load_held_out
from engines.arrays import UInt8Array
from training.crops import read_index, read_tar_crops

__all__ = ["Others", "Sample", "draw_sample", "load_others", "load_people"]

# Prefixes of training sources whose pictures carry identities.
_NAMED: Final = ("celeba", "vgg2")
_ALL_PICTURES: Final = 99


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """The pictures of one seed; row i of `probes`, `people` is one face.

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


def draw_sample(held: HeldOut, seed: int, *, per_person: int, people: int | None = None) -> Sample:
    """Pictures for one seed.

    Args:
        held: everybody.
        seed: other seeds give other probes and galleries, and other people where not all fit.
        per_person: probes of each person, fewer where there are not enough.
        people: how many people; None means all.
    """
    rng = np.random.default_rng(seed)
    count = int(held.people.max()) + 1
    chosen = np.sort(rng.permutation(count)[: people or count])
    gallery: list[int] = []
    probes: list[int] = []
    owners: list[int] = []
    for row, person in enumerate(chosen):
        pictures = rng.permutation(np.flatnonzero(held.people == person))
        gallery.append(int(pictures[0]))
        taken = pictures[1 : 1 + per_person]
        probes.extend(int(picture) for picture in taken)
        owners.extend([row] * len(taken))
    crops, people_of = held.crops, np.array(owners)
    shown = (crops[np.array(probes)], people_of, crops[np.array(gallery)])
    return Sample(seed, *shown, identities=chosen[people_of])


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
