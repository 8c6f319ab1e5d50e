"""The records of a face in a frame: where it is, its sealed original, its thumbnail.

Layout and rules: docs/keylog-format.md, section 4. No I/O and no cryptography.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from engines.arrays import Float32Array, Float64Array, require_array
from streamer.key_log_wire import check_range

__all__ = [
    "MAX_PTS",
    "NO_PTS",
    "NO_TRACK",
    "Face",
    "SealedPatch",
    "Thumbnail",
    "TrackRecord",
    "check_track",
]

NO_PTS: Final = -(1 << 63)
MAX_PTS: Final = (1 << 63) - 1
NO_TRACK: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, eq=False)
class Face:
    """One face in one frame.

    Attributes:
        track_id: which track.
        pts: which frame.
        box_xyxy_px: (4,) float32, corners in frame pixels.
        frame_from_crop: (2, 3) float64, crop pixels to frame pixels.
        is_generated: a new face was blended in.
        is_filled: the region was covered.
        is_coasting: the position was predicted, not detected.
    """

    track_id: int
    pts: int
    box_xyxy_px: Float32Array
    frame_from_crop: Float64Array
    is_generated: bool = False
    is_filled: bool = False
    is_coasting: bool = False

    def __post_init__(self) -> None:
        check_track(self.track_id, self.pts)
        require_array("box_xyxy_px", self.box_xyxy_px, (4,), np.float32)
        require_array("frame_from_crop", self.frame_from_crop, (2, 3), np.float64)
        box = [float(value) for value in self.box_xyxy_px]
        if not all(map(math.isfinite, box)) or not np.isfinite(self.frame_from_crop).all():
            raise ValueError("a face's box and transform must be finite")
        if box[0] > box[2] or box[1] > box[3]:
            raise ValueError("a face's box must have its corners in order")


@dataclass(frozen=True, slots=True)
class SealedPatch:
    """The original pixels of a region of one frame, coded by `streamer.sealed_patch`.

    Attributes:
        track_id: which track.
        pts: which frame.
        x: left edge in frame pixels, even.
        y: top edge, even.
        width: even, at least 2.
        height: even, at least 2.
        payload: the coded planes.
        codec: 1, the only one so far.
    """

    track_id: int
    pts: int
    x: int
    y: int
    width: int
    height: int
    payload: bytes = field(repr=False)
    codec: int = 1

    def __post_init__(self) -> None:
        check_track(self.track_id, self.pts)
        for name, start, size in (("x", self.x, self.width), ("y", self.y, self.height)):
            check_range(name, start, 0, 0x10000)
            check_range(f"size along {name}", size, 2, 0x10000)
            check_range(f"end along {name}", start + size, 2, 0x10000)
            if start % 2 or size % 2:
                raise ValueError("a sealed region must have even edges")
        check_range("codec", self.codec, 1, 1)
        if not self.payload:
            raise ValueError("a sealed region must not be empty")


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture of an original face, aligned as its `Face` says.

    Attributes:
        track_id: which track.
        pts: which frame.
        payload: the picture, coded by `streamer.thumbnail`.
        codec: 1, the only one so far.
    """

    track_id: int
    pts: int
    payload: bytes = field(repr=False)
    codec: int = 1

    def __post_init__(self) -> None:
        check_track(self.track_id, self.pts)
        check_range("codec", self.codec, 1, 1)
        check_range("size of a thumbnail", len(self.payload), 1, 0xFFFF)


# What belongs to a face in a frame.
TrackRecord: TypeAlias = Face | SealedPatch | Thumbnail


def check_track(track_id: int, pts: int) -> None:
    """ValueError unless both are values that a record of a track may have."""
    check_range("track_id", track_id, 0, NO_TRACK - 1)
    check_range("pts", pts, NO_PTS + 1, MAX_PTS)
