"""Scoring of detections against labelled faces: matching, precision and recall, landmark error."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engines.boxes import iou_matrix
from engines.types import Detections
from training.data_scenes import Faces

__all__ = ["FaceRecord", "Tally", "operating_point", "score_picture"]

SMALLEST_PX = 24.0
_PROFILE_RATIO = 0.25  # eyes nearer than this share of the face size: no sound unit of length


@dataclass(frozen=True, slots=True)
class FaceRecord:
    """One labelled face: the score that found it (0 when missed) and how far the points are off.

    Attributes:
        group: names the face counts under, such as "size 24-39".
        score: score of the detection that matched it.
        landmark_error: mean distance of the points in eye distances, NaN where unknown.
    """

    group: tuple[str, ...]
    score: float
    landmark_error: float


@dataclass(frozen=True, slots=True, eq=False)
class Tally:
    """What one picture gave: its faces, and the scores of detections where no face is."""

    faces: tuple[FaceRecord, ...]
    false_scores: tuple[float, ...]


def extents(box: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return face sizes: square roots of the areas of ``box (K, 4)``."""
    return np.sqrt((box[:, 2:] - box[:, :2]).clip(0).prod(1))


def score_picture(
    found: Detections, faces: Faces, *, groups: tuple[str, ...] = (), iou: float = 0.5
) -> Tally:
    """Match strongest first; faces under 24 px and ignored ones neither count nor cost."""
    size = extents(faces.box_xyxy_px)
    counted = ~faces.ignore & (size >= SMALLEST_PX)
    overlap = iou_matrix(found.boxes_xyxy_px, faces.box_xyxy_px)
    inside = _share_inside(found.boxes_xyxy_px, faces.box_xyxy_px)
    best = np.zeros(len(size), np.float64)
    error = np.full(len(size), np.nan)
    false_scores = []
    for row in np.argsort(-found.scores, kind="stable"):
        free = np.where(best == 0, overlap[row], 0) if len(size) else np.zeros(0)
        target = int(free.argmax()) if len(free) else -1
        if target >= 0 and free[target] >= iou:
            best[target] = found.scores[row]
            error[target] = _point_error(found.landmarks_px[row], faces, target)
        elif extents(found.boxes_xyxy_px[row : row + 1])[0] >= SMALLEST_PX and not (
            (overlap[row][~counted] >= 0.3).any() or (inside[row][~counted] >= 0.5).any()
        ):
            false_scores.append(float(found.scores[row]))
    records = tuple(
        FaceRecord(
            (*groups, *_labels(faces, int(i), float(size[i]))), float(best[i]), float(error[i])
        )
        for i in np.flatnonzero(counted)
    )
    return Tally(records, tuple(false_scores))


def _share_inside(box: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    low = np.maximum(box[:, None, :2], other[None, :, :2])
    high = np.minimum(box[:, None, 2:], other[None, :, 2:])
    area = np.maximum((box[:, 2:] - box[:, :2]).prod(1), 1e-6)
    return np.asarray((high - low).clip(0).prod(-1) / area[:, None], np.float32)


def _point_error(points: NDArray[np.float32], faces: Faces, index: int) -> float:
    truth = faces.points_px[index]
    unit = float(np.linalg.norm(truth[1] - truth[0]))
    if not unit >= _PROFILE_RATIO * extents(faces.box_xyxy_px[index : index + 1])[0]:
        return float("nan")
    return float(np.linalg.norm(points - truth, axis=1).mean() / unit)


def _labels(faces: Faces, index: int, size: float) -> tuple[str, str]:
    sized = "size 24-39" if size < 40 else "size 40-79" if size < 80 else "size 80+"
    points = faces.points_px[index]
    if not np.isfinite(points).all():
        return sized, "pose unknown"
    eyes = points[1] - points[0]
    unit = max(float(np.linalg.norm(eyes)), 1e-3)
    turn = abs(float((points[2] - points[:2].mean(0)) @ eyes) / unit**2)
    return sized, "frontal" if turn < 0.2 else "half turned" if turn < 0.5 else "profile"


def operating_point(
    tallies: Iterable[Tally], *, precision: float = 0.95
) -> tuple[float, float, float]:
    """Return threshold, recall and precision where recall is best at that precision or better."""
    pictures = list(tallies)
    true = np.array([f.score for t in pictures for f in t.faces])
    false = np.array([s for t in pictures for s in t.false_scores])
    best = (1.0, 0.0, 1.0)
    for threshold in np.unique(true[true > 0]):
        hits, errors = int((true >= threshold).sum()), int((false >= threshold).sum())
        at = hits / max(hits + errors, 1)
        if at >= precision and hits / max(len(true), 1) > best[1]:
            best = (float(threshold), hits / len(true), at)
    return best
