"""What the judge takes for a face and is none, each looked at by a person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from benchmarks.face_compare import overlap_ratio
from engines.arrays import Float32Array

__all__ = ["FalseAlarm", "false_alarm"]


@dataclass(frozen=True, slots=True)
class FalseAlarm:
    """A place that is no face.

    Attributes:
        clip: name of the clip without suffix.
        frames: first and last frame.
        box_xyxy_px: where; None means anywhere, for clips that show nobody.
        what: what is seen there.
    """

    clip: str
    frames: tuple[int, int]
    box_xyxy_px: tuple[float, float, float, float] | None
    what: str


_FOUND: Final = (
    FalseAlarm("cockatoo_no_face", (0, 279), None, "a bird's head"),
    FalseAlarm("crowd_arcade_1080p", (31, 31), (1287, 502, 1343, 576), "a head from behind"),
    FalseAlarm("crowd_arcade_1080p", (91, 91), (-9, 441, 244, 890), "hair and wall over a face"),
    FalseAlarm("mask_turn_hands", (52, 52), (552, 189, 612, 257), "an ear"),
)
_SAME_PLACE_OVERLAP: Final = 0.5


def false_alarm(clip: str, frame: int, box_xyxy_px: Float32Array) -> str | None:
    """What is seen in a place if it is known to be no face, otherwise None."""
    for known in _FOUND:
        if known.clip != clip or not known.frames[0] <= frame <= known.frames[1]:
            continue
        if known.box_xyxy_px is None:
            return known.what
        box = np.array([known.box_xyxy_px], np.float32)
        if overlap_ratio(box_xyxy_px, box) >= _SAME_PLACE_OVERLAP:
            return known.what
    return None
