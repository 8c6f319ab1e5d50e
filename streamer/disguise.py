"""Disguise: which of an identity's keys gives a new face that does not look like the person."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Protocol

import cv2
import numpy as np

from engines.arrays import Float32Array, UInt8Array
from engines.embedder import FaceEmbedder
from engines.errors import EngineRunError
from engines.face_mask import face_mask
from engines.generator import FaceGenerator
from streamer.likeness import seen_embeddings

__all__ = ["MARGIN", "Disguise", "KeyProposals", "first_hiding", "pack_views", "unpack_views"]

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


def first_hiding(likeness: Iterable[float], *, enough: float) -> int:
    """The number of the first key whose face is unlike the person, else of the least alike.

    Args:
        likeness: cosine of the person and the face by each key; asked for no longer than needed.
        enough: below it a face is unlike the person.
    """
    seen: list[float] = []
    for cosine in likeness:
        seen.append(cosine)
        if cosine < enough:
            break
    return int(np.argmin(seen))


class KeyProposals(Protocol):
    """Whoever knows the keys."""

    def propose(self, identity_id: int, original: Float32Array, attempt: int) -> Float32Array:
        """The (D,) unit embedding of the new face of an identity by key number ``attempt``."""
        ...


class Disguise:
    """Tries keys on the best views of a person before any frame is drawn.

    The angle says how far the wanted face is from the person, not how far the face is that the
    generator makes of it: of the first keys, one in fourteen gives a face that the likeness guard
    would refuse in some frames (docs/decisions/0068). The first key that is good enough is taken,
    else the best of all. Safe to use from several threads if the engines and the keys are.

    Args:
        generator: E_attr and G.
        embedder: E_id.
        keys: what they turn an identity into.
        most_alike: cosine from which the likeness guard takes a face for the person.
        attempts: keys that are tried, at least 1.
    """

    def __init__(
        self,
        generator: FaceGenerator,
        embedder: FaceEmbedder,
        keys: KeyProposals,
        *,
        most_alike: float,
        attempts: int,
    ) -> None:
        if attempts < 1:
            raise ValueError(f"at least one key must be tried, not {attempts}")
        self._generator, self._embedder, self._keys = generator, embedder, keys
        self._enough = most_alike - MARGIN
        self._attempts = attempts

    def attempt(self, identity_id: int, original: Float32Array, canvases: UInt8Array) -> int:
        """The number of the key to use, from 0.

        Args:
            identity_id: whose.
            original: (D,) unit embedding of the person.
            canvases: (K, S, S, 3) uint8 RGB aligned views, best first, K >= 1.
        """
        views = self._sized(canvases[:_VIEWS])
        proposals = (
            self._keys.propose(identity_id, original, number) for number in range(self._attempts)
        )
        likeness = (self._likeness(views, wanted, original) for wanted in proposals)
        try:
            return first_hiding(likeness, enough=self._enough)
        except EngineRunError:
            return 0  # whoever draws the face meets the failure, and covers

    def _likeness(self, views: UInt8Array, wanted: Float32Array, original: Float32Array) -> float:
        """Cosine with the person of that new face which is most like them, up to the first bad."""
        mask, likest = face_mask(self._generator.crop_size_px), -1.0
        for view in views:
            faces, alphas = self._generator.generate(view[None], wanted[None])
            seen = seen_embeddings(self._embedder, view[None], faces, alphas * mask)
            likest = max(likest, float(seen[0] @ original))
            if likest >= self._enough:
                break
        return likest

    def _sized(self, canvases: UInt8Array) -> UInt8Array:
        size = self._generator.crop_size_px
        if canvases.shape[1] == size:
            return canvases
        return np.stack([cv2.resize(view, (size, size)) for view in canvases])
