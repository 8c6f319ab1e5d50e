"""Disguise: which of an identity's keys gives a new face that does not look like the person."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, Protocol

import cv2
import numpy as np

from engines.arrays import Float32Array, Float64Array, UInt8Array
from engines.embedder import FaceEmbedder
from engines.errors import EngineRunError
from engines.generator import FaceGenerator
from streamer.aligner import encoder_views
from streamer.identity import IdentitySpace
from streamer.key_choice import KeyChoice, KeyTry, best_key, worth
from streamer.legible import Redrawn, legible_identities
from streamer.likeness import redrawn
from streamer.recall import Recalled

__all__ = [
    "MARGIN",
    "Disguise",
    "KeyProposals",
    "Looks",
    "Recall",
    "pack_views",
    "unpack_views",
]

# So far below the limit of the likeness guard that other views of the person rarely reach it.
MARGIN: Final = 0.18
_VIEWS: Final = 2
# Of what recovery is worth, the share that goes to comparing keys; steps gain more than keys do.
_KEYS_RATIO: Final = 0.375
_TRIES_A_LOOK: Final = 4


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

    def back(
        self, identity_id: int, attempt: int, seen: UInt8Array, original: Float32Array
    ) -> Recalled:
        """What is recovered of a (D,) person from (1, S, S, 3) uint8 RGB of the new face."""
        ...


class Looks(Protocol):
    """Whoever knows how much a new face looks like a face; see `face_looks.FaceLooks`."""

    def of(self, crops: UInt8Array) -> Float32Array:
        """(N,) scores of (N, S, S, 3) uint8 RGB, comparable within one view of a person."""
        ...


class Disguise:
    """Tries keys on the best views of a person before any frame is drawn.

    The angle says how far the wanted face is from the person, not how far the face is that the
    generator makes of it: of the first keys, one in fourteen gives a face that the likeness guard
    would refuse in some frames (docs/decisions/0068). Of the keys that are good enough the first is
    taken; or, of several, that whose face looks most like a face and least like those of the other
    keys (docs/decisions/0077), and from which recovery brings back most where that counts
    (docs/decisions/0075). Safe to use from several threads if the engines and the keys are.

    Args:
        generator: E_attr and G.
        embedder: E_id.
        keys: what they turn an identity into.
        most_alike: cosine from which the likeness guard takes a face for the person.
        attempts: keys that are tried until one hides the person, at least 1.
        recall: tells what is recovered; None: nothing is compared or adjusted.
        compared: keys whose recall is compared, at least 1.
        steps: how often what is drawn may be adjusted to be read better.
        looks: scores faces, where recovery does not count; None: nobody does.
        looked_at: keys whose looks are compared, at least 1.
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
        looks: Looks | None = None,
        looked_at: int = 1,
    ) -> None:
        fewest = min(attempts, compared, looked_at)
        if fewest < 1:
            raise ValueError(f"at least one key must be tried, not {fewest}")
        # What a face is read as is worth more than its looks, where one has to be chosen.
        self._looks, self._looked_at = looks if recall is None else None, looked_at
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
            tries: what a good choice is worth: so many keys and adjustments may be tried for the
                sake of recovery, and a quarter as many for looks alone.
        """
        views = self._sized(canvases[:_VIEWS])
        compared = self._compared_of(tries)
        seen: list[KeyTry] = []

        def proposed(number: int) -> Float32Array:
            return self._keys.propose(identity_id, original, number)

        def tried() -> Iterator[KeyTry]:
            for number in range(max(self._attempts, compared)):
                one = self._tried(
                    identity_id, original, proposed(number), views[0], number, compares=compared > 1
                )
                seen.append(one)
                yield one

        def elsewhere(number: int) -> float:
            return self._likest(original, proposed(number), views[1:])

        try:
            attempt = best_key(tried(), enough=self._enough, compared=compared, elsewhere=elsewhere)
            steps = min(self._steps, tries - len(seen))
            drawn = self._legible(identity_id, original, views, attempt, seen, steps)
            return KeyChoice(attempt, drawn)
        except EngineRunError:
            return KeyChoice()  # whoever draws the face meets the failure, and covers

    def _compared_of(self, tries: int) -> int:
        """How many keys are compared."""
        for_recall = min(self._compared, round(_KEYS_RATIO * tries)) if self._recall else 1
        for_looks = min(self._looked_at, tries // _TRIES_A_LOOK) if self._looks else 1
        return max(1, for_recall, for_looks)

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

        def redraw(tried: Float32Array) -> Redrawn:
            wanted = self._keys.propose(identity_id, space.embedding(tried[0]), attempt)
            one = self._tried(identity_id, original, wanted, views[0], attempt)
            if one.back is None or one.likeness >= self._enough:
                return own, np.array([-np.inf])
            return one.back[None], np.array([worth(one, others)])

        own = space.coordinates(original)[None]
        start = first.back[None], np.array([worth(first, others)])
        found = legible_identities(own, start, recall.gain, redraw, steps=steps)
        if np.array_equal(found, own):
            return None
        drawn = space.embedding(found[0])
        # The first view was looked at on the way.
        wanted = self._keys.propose(identity_id, drawn, attempt)
        return drawn if self._likest(original, wanted, views[1:]) < self._enough else None

    def _tried(
        self,
        identity_id: int,
        original: Float32Array,
        wanted: Float32Array,
        view: UInt8Array,
        number: int,
        *,
        compares: bool = False,
    ) -> KeyTry:
        """What comes of a key in one view (S, S, 3); its looks only to compare them."""
        seen = self._drawn(view, wanted)
        (face,) = self._embedder.embed(encoder_views(seen))
        likeness = float(face @ original)
        if likeness >= self._enough:
            return KeyTry(likeness, face=face)
        looks = float(self._looks.of(seen)[0]) if self._looks and compares else 0.0
        if self._recall is None:
            return KeyTry(likeness, face=face, looks=looks)
        found = self._recall.back(identity_id, number, seen, original)
        return KeyTry(likeness, found.likeness, found.back, face, looks)

    def _likest(self, original: Float32Array, wanted: Float32Array, views: UInt8Array) -> float:
        """The likeness in the view most like the person, up to the first bad one; -1: no view."""
        likest = -1.0
        for view in views:
            (face,) = self._embedder.embed(encoder_views(self._drawn(view, wanted)))
            likest = max(likest, float(face @ original))
            if likest >= self._enough:
                break
        return likest

    def _drawn(self, view: UInt8Array, wanted: Float32Array) -> UInt8Array:
        """(1, S, S, 3) uint8 RGB of a view with a new face in it."""
        return redrawn(self._generator, view[None], wanted[None])

    def _sized(self, canvases: UInt8Array) -> UInt8Array:
        size = self._generator.crop_size_px
        if canvases.shape[1] == size:
            return canvases
        return np.stack([cv2.resize(view, (size, size)) for view in canvases])
