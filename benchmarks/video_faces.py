"""The faces of footage as an ensemble of detectors sees them: size, pose, hidden parts, tracks."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Final

import cv2
import numpy as np

from benchmarks.clips import FaceFinder
from benchmarks.face_compare import overlap_ratio
from benchmarks.source_faces import FACE_SCORE, FrameFaces, find_source_faces, size_class
from benchmarks.video_io import decode
from engines.arrays import Float32Array, UInt8Array

__all__ = [
    "ClipFaces",
    "Ensemble",
    "FaceClass",
    "aligned_canvas",
    "clip_size_hw",
    "find_clip_faces",
    "link_tracks",
    "pose_class",
]

_SAME_FACE_OVERLAP: Final = 0.3
_TRACK_OVERLAP: Final = 0.3
_TRACK_GAP_FRAMES: Final = 5
_CANVAS_OFFSET_PX: Final = 24
_CANVAS_PX: Final = 160
# Nose from the middle of the eyes in eye distances: about 0.6 at 40 degrees.
_TURNED: Final = 0.3
_PROFILE: Final = 0.7
# Mean confidence of the 66 points: 0.69 to 0.87 on free faces of four development clips, 0.47 to
# 0.62 behind a mask.
_HIDDEN_CONFIDENCE: Final = 0.65


@dataclass(frozen=True, slots=True)
class FaceClass:
    """What kind of face it is.

    Attributes:
        size: class of the longer side in pixels.
        pose: "frontal", "turned" or "profile".
        hidden: "free", "cut by the frame", "overlaps a face" or "hard to read".
    """

    size: str
    pose: str
    hidden: str


@dataclass(frozen=True, slots=True, eq=False)
class ClipFaces:
    """All faces of a clip.

    Attributes:
        frames: per frame, what the ensemble finds.
        classes: per frame, one class for each face.
        tracks: per frame, (N,) number of the track of each face.
    """

    frames: list[FrameFaces]
    classes: list[list[FaceClass]]
    tracks: list[np.ndarray]


class Ensemble:
    """Several detectors as one: a face is what any of them finds, confirmed is what two find.

    Args:
        finders: at least one; the landmarks are those of the first that finds a face.
    """

    def __init__(self, finders: Sequence[FaceFinder]) -> None:
        self._finders = finders
        self._confirmed: Float32Array = np.zeros((0, 4), np.float32)

    def find(self, bgr: UInt8Array) -> tuple[Float32Array, Float32Array, Float32Array]:
        """Boxes (N, 4), landmarks (N, 5, 2) and scores (N,) in a frame."""
        boxes, points, scores = (np.asarray(part, np.float32) for part in self._finders[0](bgr))
        votes = (scores >= FACE_SCORE).astype(int)
        for finder in self._finders[1:]:
            more = finder(bgr)
            for box, landmarks, score in zip(*more, strict=True):
                if score < FACE_SCORE:
                    continue
                same = [overlap_ratio(box, other[None]) >= _SAME_FACE_OVERLAP for other in boxes]
                strong = np.array(same, bool) & (votes > 0)
                if strong.any():
                    votes[strong] += 1
                    continue
                boxes = np.concatenate([boxes, box[None]])
                points = np.concatenate([points, landmarks[None]])
                scores = np.concatenate([scores, [score]]).astype(np.float32)
                votes = np.append(votes, 1)
        self._confirmed = boxes[votes > 1]
        return boxes, points, scores

    def confirm(self, _bgr: UInt8Array) -> tuple[Float32Array, Float32Array, Float32Array]:
        """The faces of the frame last looked at that two detectors found."""
        count = len(self._confirmed)
        return (
            self._confirmed,
            np.zeros((count, 5, 2), np.float32),
            np.ones(count, np.float32),
        )


def find_clip_faces(
    clip: Path, finders: Sequence[FaceFinder], names: str, teachers: ModuleType, cache: Path
) -> ClipFaces:
    """Faces, classes and tracks of a clip.

    Args:
        clip: a video file.
        finders: the detectors.
        names: what they are called; other detectors are another question to the cache.
        teachers: the module that holds the 66-point model.
        cache: where the answers are kept.
    """
    ensemble = Ensemble(finders)
    frames = find_source_faces(
        clip, ensemble.find, ensemble.confirm, cache=cache / f"faces {names}"
    )
    confidences = _confidences(clip, frames, names, teachers, cache)
    classes = []
    for faces, sure in zip(frames, confidences, strict=True):
        size_hw = clip_size_hw(clip) if len(faces.boxes_xyxy_px) else (0, 0)
        rows = range(len(faces.boxes_xyxy_px))
        classes.append([_class_of(faces, row, float(sure[row]), size_hw) for row in rows])
    return ClipFaces(frames, classes, link_tracks(frames))


_SIZES: dict[Path, tuple[int, int]] = {}


def clip_size_hw(clip: Path) -> tuple[int, int]:
    """Height and width of a clip."""
    if clip not in _SIZES:
        frame = next(decode(clip, limit=1)).bgr
        _SIZES[clip] = (frame.shape[0], frame.shape[1])
    return _SIZES[clip]


def _confidences(
    clip: Path, frames: Sequence[FrameFaces], names: str, teachers: ModuleType, cache: Path
) -> list[np.ndarray]:
    """Mean confidence of the 66 points of each face."""
    digest = hashlib.sha256(clip.read_bytes() + names.encode()).hexdigest()[:16]
    path = cache / f"confidence_{clip.stem}_{digest}.npz"
    counts = [len(faces.boxes_xyxy_px) for faces in frames]
    if path.is_file():
        with np.load(path) as stored:
            return np.split(stored["confidence"], np.cumsum(counts)[:-1])
    found = []
    for frame, faces in zip(decode(clip), frames, strict=False):
        if len(faces.boxes_xyxy_px):
            _, sure = teachers.landmarks66(frame.bgr, faces.boxes_xyxy_px)
            found.append(sure.mean(1))
    whole = np.concatenate(found) if found else np.zeros(0, np.float32)
    np.savez_compressed(path, confidence=whole)
    return np.split(whole, np.cumsum(counts)[:-1])


def _class_of(faces: FrameFaces, row: int, sure: float, size_hw: tuple[int, int]) -> FaceClass:
    box = faces.boxes_xyxy_px[row]
    others = np.delete(faces.boxes_xyxy_px, row, axis=0)
    height, width = size_hw
    is_cut = bool((box[:2] < 1).any() or box[2] > width - 1 or box[3] > height - 1)
    if is_cut:
        hidden = "cut by the frame"
    elif overlap_ratio(box, others) > 0.05:
        hidden = "overlaps a face"
    else:
        hidden = "hard to read" if sure < _HIDDEN_CONFIDENCE else "free"
    return FaceClass(size_class(box), pose_class(faces.landmarks_px[row]), hidden)


def pose_class(landmarks: Float32Array) -> str:
    """Frontal, turned or profile, from (5, 2) landmarks."""
    left, right, nose = landmarks[:3]
    across = right - left
    distance = max(float(np.linalg.norm(across)), 1e-6)
    offset = float((nose - (left + right) / 2) @ across) / distance**2
    if abs(offset) >= _PROFILE:
        return "profile"
    return "turned" if abs(offset) >= _TURNED else "frontal"


def link_tracks(frames: Sequence[FrameFaces]) -> list[np.ndarray]:
    """The track of each face: boxes that overlap from frame to frame, over short gaps too."""
    alive: dict[int, tuple[int, Float32Array]] = {}
    out = []
    number = 0
    for index, faces in enumerate(frames):
        alive = {t: v for t, v in alive.items() if index - v[0] <= _TRACK_GAP_FRAMES}
        taken: set[int] = set()
        names = []
        for box in faces.boxes_xyxy_px:
            free = {t: overlap_ratio(box, v[1][None]) for t, v in alive.items() if t not in taken}
            best = max(free, key=lambda t: free[t], default=None)
            if best is None or free[best] < _TRACK_OVERLAP:
                best, number = number, number + 1
            taken.add(best)
            names.append(best)
            alive[best] = (index, box)
        out.append(np.array(names, int))
    return out


def aligned_canvas(bgr: UInt8Array, landmarks: Float32Array, teachers: ModuleType) -> UInt8Array:
    """One face on the aligned 160 px canvas; (160, 160, 3) uint8 RGB."""
    matrix = teachers.similarity_transform(landmarks, teachers.TEMPLATE112 + _CANVAS_OFFSET_PX)
    size = (_CANVAS_PX, _CANVAS_PX)
    crop = cv2.warpAffine(bgr, matrix, size, borderMode=cv2.BORDER_REPLICATE)
    return np.ascontiguousarray(np.asarray(crop, np.uint8)[..., ::-1])
