"""Disguise: which of an identity's keys gives a new face that does not look like the person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

import cv2
import numpy as np

from engines.arrays import Float32Array, UInt8Array
from engines.embedder import FaceEmbedder
from engines.errors import EngineRunError
from engines.face_mask import face_mask
from engines.generator import FaceGenerator
from streamer.aligner import encoder_views
from streamer.likeness import blended

__all__ = [
    "MARGIN",
    "Disguise",
    "KeyProposals",
    "KeyTry",
    "Recall",
    "best_key",
    "pack_views",
    "unpack_views",
]

# So far below the limit of the likeness guard that other views of the person rarely reach it.
MARGIN: Final = 0.18
_VIEWS: Final = 2


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


@dataclass(frozen=True, slots=True)
class KeyTry:
    """What came of a key.

    Attributes:
        likeness: cosine of the person and the new face.
        recall: cosine of the person and the identity that the new face and the key lead back to.
    """

    likeness: float
    recall: float = 0.0


def best_key(tries: Iterable[KeyTry], *, enough: float, compared: int) -> int:
    """The number of the key to use, from 0.

    Of the first ``compared`` keys that hide the person the one with the best recall; if none of
    them does, the first one that does; if none at all does, that of the face least alike.

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
    hiding = [number for number, one in enumerate(seen) if one.likeness < enough]
    if hiding:
        return max(hiding, key=lambda number: seen[number].recall)
    return min(range(len(seen)), key=lambda number: seen[number].likeness)


class KeyProposals(Protocol):
    """Whoever knows the keys."""

    def propose(self, identity_id: int, original: Float32Array, attempt: int) -> Float32Array:
        """The (D,) unit embedding of the new face of an identity by key number ``attempt``."""
        ...


class Recall(Protocol):
    """Whoever knows what recovery from the password alone would bring back."""

    def likeness(
        self, identity_id: int, attempt: int, seen: UInt8Array, original: Float32Array
    ) -> float:
        """Cosine of the person and what is recovered from (1, S, S, 3) uint8 RGB of a new face."""
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
        recall: tells what is recovered; None: nothing is compared.
        compared: keys whose recall is compared, at least 1.
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
    ) -> None:
        if attempts < 1 or compared < 1:
            raise ValueError(f"at least one key must be tried, not {min(attempts, compared)}")
        self._generator, self._embedder, self._keys = generator, embedder, keys
        self._enough = most_alike - MARGIN
        self._recall, self._compared = recall, compared if recall else 1
        self._attempts = max(attempts, self._compared)

    def attempt(self, identity_id: int, original: Float32Array, canvases: UInt8Array) -> int:
        """The number of the key to use, from 0.

        Args:
            identity_id: whose.
            original: (D,) unit embedding of the person.
            canvases: (K, S, S, 3) uint8 RGB aligned views, best first, K >= 1.
        """
        views = self._sized(canvases[:_VIEWS])
        tries = (
            self._tried(identity_id, original, views, number) for number in range(self._attempts)
        )
        try:
            return best_key(tries, enough=self._enough, compared=self._compared)
        except EngineRunError:
            return 0  # whoever draws the face meets the failure, and covers

    def _tried(
        self, identity_id: int, original: Float32Array, views: UInt8Array, number: int
    ) -> KeyTry:
        """The likeness is that of the view most like the person, up to the first bad one."""
        wanted = self._keys.propose(identity_id, original, number)
        mask, likest, recalled = face_mask(self._generator.crop_size_px), -1.0, 0.0
        for index, view in enumerate(views):
            faces, alphas = self._generator.generate(view[None], wanted[None])
            seen = blended(view[None], faces, alphas * mask)
            found = self._embedder.embed(encoder_views(seen))
            likest = max(likest, float(found[0] @ original))
            if likest >= self._enough:
                break
            if self._recall is not None and index == 0:
                recalled = self._recall.likeness(identity_id, number, seen, original)
        return KeyTry(likest, recalled)

    def _sized(self, canvases: UInt8Array) -> UInt8Array:
        size = self._generator.crop_size_px
        if canvases.shape[1] == size:
            return canvases
        return np.stack([cv2.resize(view, (size, size)) for view in canvases])
