"""The choice among the keys of an identity, by what their new faces are like."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from engines.arrays import Float32Array

__all__ = ["KeyChoice", "KeyTry", "best_key", "drawback", "ordinariness", "worth"]

_ORDINARY: Final = 0.6
# One standard deviation among the keys of a person, 0.011, weighs as much as 0.01 of a cosine: with
# more, the faces of a person by two passwords become more alike (docs/decisions/0079 and 0084).
_LOOKS: Final = 0.9


@dataclass(frozen=True, slots=True, eq=False)
class KeyTry:
    """What came of a key.

    Attributes:
        likeness: cosine of the person and the new face.
        recall: cosine of the person and the face that recovery would draw from the new one.
        back: (K,) unit coordinates of the identity that it is drawn for, if that was asked.
        face: (D,) what E_id sees in the best view of the new face.
        looks: how sure the detector is that this view shows a face, 0 to 1.
    """

    likeness: float
    recall: float = 0.0
    back: Float32Array | None = None
    face: Float32Array | None = None
    looks: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class KeyChoice:
    """How an identity is drawn.

    Attributes:
        attempt: number of its key, from 0.
        drawn: (D,) unit embedding that is turned by it; None: that of the person.
    """

    attempt: int = 0
    drawn: Float32Array | None = None


def ordinariness(face: Float32Array | None, others: Iterable[KeyTry]) -> float:
    """What speaks against a face that is like those of a person's other keys, in cosines of recall.

    Otherwise the faces that are read best are those that a person has by many keys, and tracks
    could be linked by them (docs/decisions/0075).
    """
    known = [one.face for one in others if one.face is not None]
    if face is None or not known:
        return 0.0
    return _ORDINARY * max(0.0, float(np.mean(np.stack(known) @ face)))


def drawback(one: KeyTry, others: Iterable[KeyTry]) -> float:
    """What speaks against a face beside how it is read, in cosines of recall."""
    return ordinariness(one.face, others) - _LOOKS * one.looks


def worth(one: KeyTry, others: Iterable[KeyTry]) -> float:
    """What a face is worth beside those of a person's other keys, in cosines of recall."""
    return one.recall - drawback(one, others)


def best_key(
    tries: Iterable[KeyTry],
    *,
    enough: float,
    compared: int,
    elsewhere: Callable[[int], float] = lambda number: -1.0,
) -> int:
    """The number of the key to use, from 0.

    Of the first ``compared`` keys that hide the person the one with the best recall, less what
    speaks against its face; if none of them does, the first one that does; if none at all does,
    that of the face least alike.

    Args:
        tries: what comes of the keys in the best view; asked for no longer than needed.
        enough: a likeness below it hides the person.
        compared: keys to compare, at least 1.
        elsewhere: the likeness by a key in the other views, asked of the one that is to be taken.
    """
    seen: list[KeyTry] = []
    for one in tries:
        seen.append(one)
        if len(seen) < compared:
            continue
        while (number := _best_hiding(seen, enough)) is not None:
            also = elsewhere(number)
            if also < enough:
                return number
            seen[number] = replace(seen[number], likeness=max(seen[number].likeness, also))
    return min(range(len(seen)), key=lambda number: seen[number].likeness)


def _best_hiding(seen: Sequence[KeyTry], enough: float) -> int | None:
    def value(number: int) -> float:
        return worth(seen[number], [*seen[:number], *seen[number + 1 :]])

    hiding = [number for number, one in enumerate(seen) if one.likeness < enough]
    return max(hiding, key=value, default=None)
