"""How the product draws a face (`streamer.disguise`), for many faces at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from engines.arrays import Float32Array, Float64Array
from streamer.config import CoverConfig
from streamer.disguise import MARGIN
from streamer.identity import IdentitySpace
from streamer.key_choice import KeyTry, best_key, worth
from streamer.legible import Redrawn, legible_identities

__all__ = ["Drawing", "Looked", "RecallSpace", "choose_drawings"]

Rows: TypeAlias = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Looked:
    """What comes of R identities once they are turned and drawn.

    Attributes:
        faces: (R, D) what E_id sees in the new faces.
        looks: (R,) how sure the detector is of them; nothing: it is not asked.
        back: (R, D) identities that recovery finds in them; nothing: it does not count.
        likeness: (R,) cosines of the people and the faces that recovery draws for those.
    """

    faces: Float32Array
    looks: Float32Array | None = None
    back: Float32Array | None = None
    likeness: Float32Array | None = None


@dataclass(frozen=True, slots=True, eq=False)
class RecallSpace:
    """Where identities have coordinates, and how much of each is read (K,)."""

    space: IdentitySpace
    gain: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class Drawing:
    """What the product would draw.

    Attributes:
        attempts: (N,) number of the key of each face.
        drawn: (N, D) unit identities that these keys turn.
    """

    attempts: NDArray[np.int64]
    drawn: Float32Array


def choose_drawings(
    people: Float32Array,
    look: Callable[[Rows, NDArray[np.int64], Float32Array], Looked],
    recall: RecallSpace | None,
    *,
    is_file: bool,
) -> Drawing:
    """Keys and identities by the product's defaults for a long track.

    Args:
        people: (N, D) unit identities.
        look: rows (R,), the number of a key for each and (R, D) identities to turn by it, to what
            comes of them; looks count in files without recall.
        recall: None: recovery from the password is not asked, as on cameras.
        is_file: looks are compared, as in files.
    """
    cover = CoverConfig()
    enough = cover.most_alike - MARGIN
    compared = 1
    if recall:
        compared = cover.recall_attempts
    elif is_file:
        compared = cover.looks_attempts
    tries: list[list[KeyTry]] = [[] for _ in people]
    rows = np.arange(len(people))
    for attempt in range(max(cover.key_attempts, compared)):
        if attempt >= compared:
            is_hidden = [any(t.likeness < enough for t in tries[row]) for row in rows]
            rows = rows[~np.array(is_hidden, bool)]
        if not len(rows):
            break
        seen = look(rows, np.full(len(rows), attempt), people[rows])
        for n, row in enumerate(rows):
            tries[row].append(_try(seen, n, people[row]))
    attempts = np.array(
        [best_key(one, enough=enough, compared=compared) for one in tries], np.int64
    )
    if recall is None:
        return Drawing(attempts, people)
    return Drawing(attempts, _legible(people, attempts, tries, look, recall))


def _try(seen: Looked, row: int, person: Float32Array) -> KeyTry:
    face = seen.faces[row]
    likeness = float(face @ person)
    if seen.back is not None and seen.likeness is not None:  # then looks do not count
        return KeyTry(likeness, float(seen.likeness[row]), seen.back[row], face)
    return KeyTry(likeness, face=face, looks=0.0 if seen.looks is None else float(seen.looks[row]))


def _legible(
    people: Float32Array,
    attempts: NDArray[np.int64],
    tries: list[list[KeyTry]],
    look: Callable[[Rows, NDArray[np.int64], Float32Array], Looked],
    recall: RecallSpace,
) -> Float32Array:
    """The identities adjusted so that they are read; people's own where no key hides them."""
    cover = CoverConfig()
    enough = cover.most_alike - MARGIN
    taken = [one[n] for one, n in zip(tries, attempts, strict=True)]
    others = [one[:n] + one[n + 1 :] for one, n in zip(tries, attempts, strict=True)]
    rows = np.array([n for n, one in enumerate(taken) if one.likeness < enough], np.int64)
    if not len(rows):
        return people

    def placed(identities: Float32Array) -> Float32Array:
        return np.stack([recall.space.coordinates(one) for one in identities])

    def lifted(coordinates: Float32Array) -> Float32Array:
        return np.stack([recall.space.embedding(one) for one in coordinates])

    def redraw(tried: Float32Array) -> Redrawn:
        seen = look(rows, attempts[rows], lifted(tried))
        return judged([_try(seen, n, people[row]) for n, row in enumerate(rows)])

    def judged(now: list[KeyTry]) -> Redrawn:
        values = [
            worth(one, others[row]) if one.likeness < enough else -np.inf
            for one, row in zip(now, rows, strict=True)
        ]
        backs = [one.back for one in now if one.back is not None]  # all have one where it counts
        return placed(np.stack(backs)), np.array(values)

    first = judged([taken[row] for row in rows])
    found = legible_identities(
        placed(people[rows]), first, recall.gain, redraw, steps=cover.recall_steps
    )
    drawn = people.copy()
    drawn[rows] = lifted(found)
    return drawn
