"""Disguise: which of an identity's keys gives a new face that does not look like the person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

import cv2
import numpy as np

from engines.arrays import Float32Array, Float64Array, UInt8Array
from engines.embedder import FaceEmbedder
from engines.errors import EngineRunError
from engines.face_mask import face_mask
from engines.generator import FaceGenerator
from streamer.aligner import encoder_views
from streamer.identity import IdentitySpace
from streamer.legible import Redrawn, legible_identities
from streamer.likeness import blended

__all__ = [
    "MARGIN",
    "Disguise",
    "KeyChoice",
    "KeyProposals",
    "KeyTry",
    "Recall",
    "best_key",
    "ordinariness",
    "pack_views",
    "unpack_views",
]

# So far below the limit of the likeness guard that other views of the person rarely reach it.
MARGIN: Final = 0.18
_VIEWS: Final = 2
# Of what recovery is worth, the share that goes to comparing keys; steps gain more than keys do.
_KEYS_RATIO: Final = 0.375
_ORDINARY: Final = 0.6


def pack_views(canvases: UInt8Array) -> list[bytes]:
    """The views that keys are tried on, small enough to keep for every track of a long file.

    Args:
        canvases: (K, S, S, 3) uint8 RGB aligned views, best first.
    """
    quality = [cv2.IMWRITE_JPEG_QUALITY, 95]
    views = canvases[:_VIEWS, :, :, ::-1]
    return [cv2.imencode(".jpg", view, quality)[1].tobytes() for view in views]


def unpack_views(packed: Iterable[bytes]) -> UInt8Array:
    """(K, S, S, 3) uint8 RGB of what `pack_views` gave."""
    views = [
        np.asarray(cv2.imdecode(np.frombuffer(one, np.uint8), cv2.IMREAD_COLOR_BGR), np.uint8)
        for one in packed
    ]
    return np.ascontiguousarray(np.stack(views)[..., ::-1])


@dataclass(frozen=True, slots=True, eq=False)
class KeyTry:
    """What came of a key.

    Attributes:
        likeness: cosine of the person and the new face.
        recall: cosine of the person and the identity that the new face and the key lead back to.
        back: (K,) unit coordinates of that identity, if it was asked for.
        face: (D,) what E_id sees in the best view of the new face.
    """

    likeness: float
    recall: float = 0.0
    back: Float32Array | None = None
    face: Float32Array | None = None


def ordinariness(face: Float32Array | None, others: Iterable[KeyTry]) -> float:
    """What speaks against a face that is like those of a person's other keys, in cosines of recall.

    Otherwise the faces that are read best are those that a person has by many keys, and tracks
    could be linked by them (docs/decisions/0075).
    """
    known = [one.face for one in others if one.face is not None]
    if face is None or not known:
        return 0.0
    return _ORDINARY * max(0.0, float(np.mean(np.stack(known) @ face)))


@dataclass(frozen=True, slots=True, eq=False)
class KeyChoice:
    """How an identity is drawn.

    Attributes:
        attempt: number of its key, from 0.
        drawn: (D,) unit embedding that is turned by it; None: that of the person.
    """

    attempt: int = 0
    drawn: Float32Array | None = None


def best_key(tries: Iterable[KeyTry], *, enough: float, compared: int) -> int:
    """The number of the key to use, from 0.

    Of the first ``compared`` keys that hide the person the one with the best recall, less what
    speaks against its face; if none of them does, the first one that does; if none at all does,
    that of the face least alike.

    Args:
        tries: what comes of the keys; asked for no longer than needed.
        enough: a likeness below it hides the person.
        compared: keys to compare, at least 1.
    """
    seen: list[KeyTry] = []
    for one in tries:
        seen.append(one)
        if len(seen) >= compared and any(t.likeness < enough for t in seen):
            break

    def others(number: int) -> list[KeyTry]:
        return seen[:number] + seen[number + 1 :]

    hiding = [number for number, one in enumerate(seen) if one.likeness < enough]
    if hiding:
        return max(hiding, key=lambda n: seen[n].recall - ordinariness(seen[n].face, others(n)))
    return min(range(len(seen)), key=lambda number: seen[number].likeness)


class KeyProposals(Protocol):
    """Whoever knows the keys."""

    def propose(self, identity_id: int, original: Float32Array, attempt: int) -> Float32Array:
        """The (D,) unit embedding of the new face of an identity by key number ``attempt``."""
        ...


class Recall(Protocol):
    """Whoever knows what recovery from the password alone would bring back."""

    @property
    def space(self) -> IdentitySpace:
        """Where identities have coordinates."""
        ...

    @property
    def gain(self) -> Float64Array:
        """(K,) how much of each coordinate is read."""
        ...

    def back(self, identity_id: int, attempt: int, seen: UInt8Array) -> Float32Array:
        """(K,) unit coordinates that are recovered from (1, S, S, 3) uint8 RGB of a new face."""
        ...


class Disguise:
    """Tries keys on the best views of a person before any frame is drawn.

    The angle says how far the wanted face is from the person, not how far the face is that the
    generator makes of it: of the first keys, one in fourteen gives a face that the likeness guard
    would refuse in some frames (docs/decisions/0068). Of the keys that are good enough the first is
    taken, or that from which recovery brings back most (docs/decisions/0075). Safe to use from
    several threads if the engines and the keys are.

    Args:
        generator: E_attr and G.
        embedder: E_id.
        keys: what they turn an identity into.
        most_alike: cosine from which the likeness guard takes a face for the person.
        attempts: keys that are tried until one hides the person, at least 1.
        recall: tells what is recovered; None: nothing is compared or adjusted.
        compared: keys whose recall is compared, at least 1.
        steps: how often what is drawn may be adjusted to be read better.
    """

    def __init__(
        self,
        generator: FaceGenerator,
        embedder: FaceEmbedder,
        keys: KeyProposals,
        *,
        most_alike: float,
        attempts: int,
        recall: Recall | None = None,
        compared: int = 1,
        steps: int = 0,
    ) -> None:
        if attempts < 1 or compared < 1:
            raise ValueError(f"at least one key must be tried, not {min(attempts, compared)}")
        self._generator, self._embedder, self._keys = generator, embedder, keys
        self._enough = most_alike - MARGIN
        self._recall, self._attempts = recall, attempts
        self._compared, self._steps = compared, steps

    def choose(
        self, identity_id: int, original: Float32Array, canvases: UInt8Array, *, tries: int = 0
    ) -> KeyChoice:
        """The key to use, and what to draw with it.

        Args:
            identity_id: whose.
            original: (D,) unit embedding of the person.
            canvases: (K, S, S, 3) uint8 RGB aligned views, best first, K >= 1.
            tries: what recovery is worth: so many keys and adjustments are tried for its sake.
        """
        views = self._sized(canvases[:_VIEWS])
        compared = 1
        if self._recall is not None:
            compared = max(1, min(self._compared, round(_KEYS_RATIO * tries)))
        seen: list[KeyTry] = []

        def tried() -> Iterator[KeyTry]:
            for number in range(max(self._attempts, compared)):
                wanted = self._keys.propose(identity_id, original, number)
                seen.append(self._tried(identity_id, original, wanted, views, number))
                yield seen[-1]

        try:
            attempt = best_key(tried(), enough=self._enough, compared=compared)
            steps = min(self._steps, tries - len(seen))
            drawn = self._legible(identity_id, original, views, attempt, seen, steps)
            return KeyChoice(attempt, drawn)
        except EngineRunError:
            return KeyChoice()  # whoever draws the face meets the failure, and covers

    def _legible(
        self,
        identity_id: int,
        original: Float32Array,
        views: UInt8Array,
        attempt: int,
        seen: list[KeyTry],
        steps: int,
    ) -> Float32Array | None:
        """What to draw so that it is read better; None: the person's own identity."""
        recall, first = self._recall, seen[attempt]
        others = seen[:attempt] + seen[attempt + 1 :]
        if recall is None or first.back is None or first.likeness >= self._enough or steps < 1:
            return None
        space = recall.space

        def look(drawn: Float32Array, at: UInt8Array) -> KeyTry:
            wanted = self._keys.propose(identity_id, drawn, attempt)
            return self._tried(identity_id, original, wanted, at, attempt)

        def redraw(tried: Float32Array) -> Redrawn:
            one = look(space.embedding(tried[0]), views[:1])
            if one.back is None or one.likeness >= self._enough:
                return own, np.array([np.inf])
            return one.back[None], np.array([ordinariness(one.face, others)])

        own = space.coordinates(original)[None]
        start = first.back[None], np.array([ordinariness(first.face, others)])
        found = legible_identities(own, start, recall.gain, redraw, steps=steps)
        if np.array_equal(found, own):
            return None
        drawn = space.embedding(found[0])
        # The first view was looked at on the way.
        return drawn if look(drawn, views[1:]).likeness < self._enough else None

    def _tried(
        self,
        identity_id: int,
        original: Float32Array,
        wanted: Float32Array,
        views: UInt8Array,
        number: int,
    ) -> KeyTry:
        """The likeness is that of the view most like the person, up to the first bad one."""
        mask, likest = face_mask(self._generator.crop_size_px), -1.0
        face = back = None
        for index, view in enumerate(views):
            faces, alphas = self._generator.generate(view[None], wanted[None])
            seen = blended(view[None], faces, alphas * mask)
            found = self._embedder.embed(encoder_views(seen))
            likest = max(likest, float(found[0] @ original))
            face = found[0] if index == 0 else face
            if likest >= self._enough:
                break
            if self._recall is not None and index == 0:
                back = self._recall.back(identity_id, number, seen)
        if self._recall is None or back is None:
            return KeyTry(likest, face=face)
        return KeyTry(likest, float(back @ self._recall.space.coordinates(original)), back, face)

    def _sized(self, canvases: UInt8Array) -> UInt8Array:
        size = self._generator.crop_size_px
        if canvases.shape[1] == size:
            return canvases
        return np.stack([cv2.resize(view, (size, size)) for view in canvases])
