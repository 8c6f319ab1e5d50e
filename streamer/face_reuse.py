"""Faces that were drawn a frame ago, for a frame that is late."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from engines.arrays import Float32Array, UInt8Array
from engines.face_mask import face_mask

__all__ = ["DrawnFace", "FaceReuse"]

# An expression waits so long at most: where frames are dropped, more would not be seen either.
_LONGEST_S: Final = 0.125
# Mean change, in levels of grey, of the part that the face let through; where there is little
# contrast a person differs less from what is around them (docs/decisions/0076).
_MOST_CHANGE: Final = 6.0
_FULL_CONTRAST: Final = 40.0
_WINDOW_PX: Final = 5  # of every other pixel


@dataclass(frozen=True, slots=True, eq=False)
class DrawnFace:
    """A synthetic face, and what it was made of.

    Attributes:
        time_s: when its frame was taken.
        target: (D,) unit embedding that it was drawn with.
        crop: (S, S, 3) uint8 RGB original.
        face: (S, S, 3) uint8 RGB.
        mask: (S, S) float32 in [0, 1], share of the new face in what is seen.
    """

    time_s: float
    target: Float32Array
    crop: UInt8Array
    face: UInt8Array
    mask: Float32Array


class FaceReuse:
    """Says whether the face drawn last may be shown once more. Not thread-safe.

    Faces are aligned, so the last one moves with the head. What could go wrong is its mask: a hand
    that was in front of the face a frame ago, and was left visible, has gone now, and the face
    behind it would be seen. So what the mask let through must look as it did.
    """

    def __init__(self) -> None:
        self._drawn: dict[int, DrawnFace] = {}

    def remember(self, track_id: int, drawn: DrawnFace) -> None:
        """Keep what the generator made for a track."""
        self._drawn[track_id] = drawn

    def keep(self, track_ids: Collection[int]) -> None:
        """Forget all other tracks."""
        self._drawn = {key: one for key, one in self._drawn.items() if key in track_ids}

    def find(
        self, track_id: int, *, time_s: float, target: Float32Array, crop: UInt8Array
    ) -> DrawnFace | None:
        """The face drawn last, if it serves for this crop as well.

        Args:
            track_id: whose.
            time_s: when the frame was taken.
            target: (D,) unit embedding to draw.
            crop: (S, S, 3) uint8 RGB original.
        """
        last = self._drawn.get(track_id)
        if last is None or not 0 <= time_s - last.time_s <= _LONGEST_S:
            return None
        if not np.array_equal(last.target, target) or not _is_unchanged(last, crop):
            return None
        return last


def _is_unchanged(last: DrawnFace, crop: UInt8Array) -> bool:
    """Whether nothing moved where the last mask let the original through."""
    whole = face_mask(len(crop))[::2, ::2]
    through = whole - last.mask[::2, ::2]
    before, now = last.crop[::2, ::2], crop[::2, ::2]
    change = cv2.absdiff(before, now).astype(np.float32).mean(axis=2) * through
    contrast = float(np.std(now[whole > 0.5].mean(axis=1)))
    limit = _MOST_CHANGE * min(1.0, contrast / _FULL_CONTRAST)
    return float(cv2.blur(change, (_WINDOW_PX, _WINDOW_PX)).max()) < limit
