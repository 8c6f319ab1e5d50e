"""The faces of a clip that must not be seen in its output, as the judges find them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.clips import FaceFinder
from benchmarks.face_compare import overlap_ratio
from benchmarks.video_io import decode
from engines.arrays import Float32Array

__all__ = [
    "FACE_SCORE",
    "MIN_FACE_PX",
    "FrameFaces",
    "find_source_faces",
    "longer_side",
    "size_class",
]

FACE_SCORE: Final = 0.6
MIN_FACE_PX: Final = 24.0
_CONFIRM_OVERLAP: Final = 0.3
_CLASSES: Final = ((24.0, "24-39"), (40.0, "40-79"), (80.0, "80+"))


@dataclass(frozen=True, slots=True, eq=False)
class FrameFaces:
    """What the judges find in one source frame.

    Attributes:
        boxes_xyxy_px: (N, 4) faces of at least `MIN_FACE_PX` and `FACE_SCORE`.
        landmarks_px: (N, 5, 2) their landmarks.
        is_confirmed: (N,) bool, the second detector finds a face there too.
        doubtful_xyxy_px: (M, 4) every place with a score of 0.3 or more, whatever its size.
    """

    boxes_xyxy_px: Float32Array
    landmarks_px: Float32Array
    is_confirmed: np.ndarray[tuple[int], np.dtype[np.bool_]]
    doubtful_xyxy_px: Float32Array


def size_class(box_xyxy_px: Float32Array) -> str:
    """The class of a face by the longer side of its box."""
    side = longer_side(box_xyxy_px)
    return next(name for low, name in reversed(_CLASSES) if side >= low or low == MIN_FACE_PX)


def longer_side(box_xyxy_px: Float32Array) -> float:
    """The longer side of a box in pixels."""
    return float(max(box_xyxy_px[2] - box_xyxy_px[0], box_xyxy_px[3] - box_xyxy_px[1]))


def find_source_faces(
    clip: Path, find: FaceFinder, confirm: FaceFinder | None, *, cache: Path | None = None
) -> list[FrameFaces]:
    """Find the faces of every frame.

    Args:
        clip: a video file.
        find: the judge whose faces count.
        confirm: the second opinion; without it nothing is confirmed.
        cache: folder where the answer is kept for the next run; None keeps nothing.
    """
    if cache is None:
        return _detect(clip, find, confirm)
    key = hashlib.sha256(clip.read_bytes() + bytes([confirm is not None])).hexdigest()[:16]
    path = cache / f"{clip.stem}_{key}.npz"
    if path.is_file():
        return _load(path)
    faces = _detect(clip, find, confirm)
    cache.mkdir(parents=True, exist_ok=True)
    _save(path, faces)
    return faces


def _detect(clip: Path, find: FaceFinder, confirm: FaceFinder | None) -> list[FrameFaces]:
    found = []
    for frame in decode(clip):
        boxes, landmarks, scores = find(frame.bgr)
        sides = np.array([longer_side(box) for box in boxes])
        counted = (scores >= FACE_SCORE) & (sides >= MIN_FACE_PX)
        kept = boxes[counted]
        seconds = confirm(frame.bgr)[0] if confirm is not None and len(kept) else boxes[:0]
        confirmed = [overlap_ratio(box, seconds) >= _CONFIRM_OVERLAP for box in kept]
        found.append(FrameFaces(kept, landmarks[counted], np.array(confirmed, np.bool_), boxes))
    return found


def _save(path: Path, faces: Sequence[FrameFaces]) -> None:
    np.savez_compressed(
        path,
        counts=np.array([[len(f.boxes_xyxy_px), len(f.doubtful_xyxy_px)] for f in faces]),
        boxes=np.concatenate([f.boxes_xyxy_px for f in faces]),
        landmarks=np.concatenate([f.landmarks_px for f in faces]),
        confirmed=np.concatenate([f.is_confirmed for f in faces]),
        doubtful=np.concatenate([f.doubtful_xyxy_px for f in faces]),
    )


def _load(path: Path) -> list[FrameFaces]:
    with np.load(path) as stored:
        ends = stored["counts"].cumsum(0)[:-1]
        columns = [np.split(stored[name], ends[:, 0]) for name in ("boxes", "landmarks")]
        confirmed = np.split(stored["confirmed"], ends[:, 0])
        doubtful = np.split(stored["doubtful"], ends[:, 1])
    rows = zip(columns[0], columns[1], confirmed, doubtful, strict=True)
    return [FrameFaces(*row) for row in rows]
