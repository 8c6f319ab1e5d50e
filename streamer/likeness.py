"""Likeness guard: a synthetic face that still looks like the person is not used."""

from __future__ import annotations

from collections.abc import Mapping

import cv2
import numpy as np

from engines.arrays import Float32Array, UInt8Array
from engines.embedder import EMBEDDER_SIZE_PX, FaceEmbedder

__all__ = ["LikenessGuard"]

# The encoder's crop is the middle 112 of 160 pixels of the alignment canvas.
_CANVAS_PX = 160


class LikenessGuard:
    """Compares what would be seen with who the person is. Thread-safe if the embedder's engine is.

    It asks the encoder that ships, so it stops what that encoder notices and no more; how much
    other recognisers notice is measured in benchmarks/exposure.py.

    Args:
        embedder: E_id.
        originals: identity id -> (512,) unit embedding of the person.
        most_alike: cosine from which a synthetic face counts as the person.
    """

    def __init__(
        self, embedder: FaceEmbedder, originals: Mapping[int, Float32Array], *, most_alike: float
    ) -> None:
        self._embedder = embedder
        self._originals = originals
        self._most_alike = most_alike

    def rejects(self, seen: UInt8Array, identity_ids: list[int]) -> list[bool]:
        """Which of some faces must not be shown.

        Args:
            seen: (N, S, S, 3) uint8 RGB crops as they would be seen, new face blended in.
            identity_ids: whose faces they were.
        """
        size = seen.shape[1]
        margin = round(size * (_CANVAS_PX - EMBEDDER_SIZE_PX) / 2 / _CANVAS_PX)
        middle = seen[:, margin : size - margin, margin : size - margin]
        if middle.shape[1] != EMBEDDER_SIZE_PX:
            shape = (EMBEDDER_SIZE_PX, EMBEDDER_SIZE_PX)
            middle = np.stack([cv2.resize(x, shape, interpolation=cv2.INTER_AREA) for x in middle])
        found = self._embedder.embed(np.ascontiguousarray(middle))
        return [
            float(embedding @ self._originals[key]) >= self._most_alike
            for embedding, key in zip(found, identity_ids, strict=True)
        ]
