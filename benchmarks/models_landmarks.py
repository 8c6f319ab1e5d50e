"""Figures of the landmark network on held-out aligned crops, and how well its labels repeat.

The product's two looks at each crop, as it is, turned, covered and small.  Most labels come from
a detector: looking at the same crops again, moved a little, shows what error they carry.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.landmarks import LandmarkRefiner
from engines.loader import load_engine
from engines.manifest import WEIGHTS_FOLDER, load_manifest
from engines.types import Detections
from training.data_scenes import CropSet, Faces, load_crops
from training.data_scenes_geometry import (
    faces_through,
    is_turned,
    points_through,
    similarity,
    warp,
)
from training.data_scenes_paint import Occluder, occlude
from training.teachers import crop_boxer, load_teachers

__all__ = ["evaluate"]

_CANVAS_PX = 224
_GREY = (127, 127, 127)
_POINTS = ("left eye", "right eye", "nose", "left mouth corner", "right mouth corner")
_TURNED_RATIO = 0.2  # nose beside the middle of the eyes, in eye distances
_SMALL_FACES_PX = (40, 24)
# Scale, shift in px, turn in degrees, mirrored: what a labeller should not mind.
_VIEWS = (
    (1.0, 0, 0, 0, False),
    (1.0, 4, 3, 0, True),
    (0.75, 3, -2, 8, False),
    (1.3, -5, 2, -8, True),
    (1.0, 0, 0, 20, False),
    (0.6, 0, 4, -5, False),
)
Points = NDArray[np.float32]
Errors = NDArray[np.float64]


def evaluate(shared: Path, *, quick: bool, manifest: Path | None = None) -> dict[str, object]:
    """Measure the landmark network; every error is in eye distances.

    Args:
        shared: the folder with ``faces`` and ``models``.
        quick: every fourth crop only.
        manifest: other weights than the shipped ones.
    """
    facts = load_manifest(manifest or WEIGHTS_FOLDER / "landmarks.json")
    refiner = LandmarkRefiner(load_engine(facts, provider="cpu", threads=1))
    teachers = load_teachers(shared / "models")
    crops = load_crops(shared / "faces", split="val", boxer=crop_boxer(teachers), cache=None)
    rows = list(range(0, len(crops.encoded), 4 if quick else 1))
    upright = _found(refiner, crops, rows)
    errors = _errors(upright, crops.points[rows])
    turned = is_turned(crops.points[rows], _TURNED_RATIO)
    human = np.array([crops.labels[i]["file"].startswith(("afw", "helen")) for i in rows])
    return {
        "landmark_error": float(errors.mean()),
        "median": float(np.median(errors.mean(1))),
        "points": dict(zip(_POINTS, errors.mean(0).tolist(), strict=True)),
        "frontal": float(errors[~turned].mean()),
        "turned": float(errors[turned].mean()),
        "labelled_by_people": float(errors[human].mean()) if human.any() else None,
        "tilted": {str(angle): _turned_error(refiner, crops, rows, angle) for angle in (30, 45)},
        "covered": {
            kind: _error(refiner, crops, rows, cover=kind) for kind in ("mask", "glasses", "hand")
        },
        "small": {
            f"{size} px": _error(refiner, crops, rows, face_px=size) for size in _SMALL_FACES_PX
        },
        "labels": _label_noise(teachers, crops, rows, upright),
    }


def _found(
    refiner: LandmarkRefiner,
    crops: CropSet,
    rows: list[int],
    *,
    angle_deg: float = 0.0,
    cover: Occluder | None = None,
    face_px: float | None = None,
) -> Points:
    """The points that the refiner finds, ``(len(rows), 5, 2)``, in px of the 160 px crops."""
    points = np.empty((len(rows), 5, 2), np.float32)
    for n, index in enumerate(rows):
        face = Faces(crops.box[index][None], crops.points[index][None], np.zeros(1, np.bool_))
        rgb = crops.rgb(index).copy()
        if cover is not None:
            occlude(rgb, face, np.random.default_rng((5, index)), share_ratio=1.0, kind=cover)
        box = face.box_xyxy_px[0]
        scale = 1.0 if face_px is None else face_px / float(np.sqrt((box[2:] - box[:2]).prod()))
        side = float(_CANVAS_PX if face_px is None else round(_CANVAS_PX * scale))
        matrix = similarity(
            scale=scale,
            angle_deg=angle_deg,
            source_xy=(float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2),
            target_xy=(side / 2, side / 2),
        )
        seen = faces_through(matrix, face)
        picture = warp(rgb, matrix, (int(side), int(side)), border=_GREY)
        luma = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
        asked = Detections(seen.box_xyxy_px, seen.points_px, np.ones(1, np.float32))
        answer = refiner.refine(luma, asked).landmarks_px[0]
        points[n] = _back(matrix, answer)
    return points


def _back(matrix: NDArray[np.float64], points: Points) -> Points:
    return points_through(np.asarray(cv2.invertAffineTransform(matrix), np.float64), points)


def _errors(points: Points, wanted: Points) -> Errors:
    """Distances in eye distances, ``(N, 5)``."""
    unit = np.linalg.norm(wanted[:, 1] - wanted[:, 0], axis=1)
    return np.asarray(np.linalg.norm(points - wanted, axis=2) / unit[:, None], np.float64)


def _error(
    refiner: LandmarkRefiner,
    crops: CropSet,
    rows: list[int],
    angles_deg: tuple[float, ...] = (0.0,),
    **view: Any,  # noqa: ANN401 - as `_found` takes it
) -> float:
    """Mean error over all crops, each at every angle."""
    wanted = crops.points[rows]
    seen = (_found(refiner, crops, rows, angle_deg=angle, **view) for angle in angles_deg)
    return float(np.concatenate([_errors(points, wanted) for points in seen]).mean())


def _turned_error(
    refiner: LandmarkRefiner, crops: CropSet, rows: list[int], angle_deg: int
) -> dict[str, float]:
    angles = (-angle_deg, angle_deg)
    return {
        name: _error(refiner, crops, rows, angles, cover=cover)
        for name, cover in (("bare", None), ("masked", "mask"))
    }


def _label_noise(
    teachers: ModuleType, crops: CropSet, rows: list[int], ours: Points
) -> dict[str, float]:
    """How far YuNet's own answers to moved crops lie from the labels, from ours, and apart."""
    seen = np.stack([_look(teachers, crops, rows, *view) for view in _VIEWS])
    known = np.isfinite(seen).all((0, 2, 3))
    labels = crops.points[rows][known]
    seen, ours = seen[:, known], ours[known]
    # Constant differences, such as another habit for the nose, are no noise.
    seen = seen - np.median(seen - labels, axis=1, keepdims=True)
    mean = seen.mean(0)
    return {
        "one_view_to_label": float(_errors(seen[0], labels).mean()),
        "view_to_view": float(np.mean([_errors(view, seen[0]).mean() for view in seen[1:]])),
        "mean_of_views_to_label": float(_errors(labels, mean).mean()),
        "mean_of_views_to_ours": float(_errors(ours, mean).mean()),
    }


def _look(
    teachers: ModuleType,
    crops: CropSet,
    rows: list[int],
    scale: float,
    right_px: int,
    down_px: int,
    angle_deg: float,
    mirrored: bool,
) -> Points:
    """YuNet's points for one view of each crop, in px of the crops; NaN where it sees no face."""
    middle = _CANVAS_PX / 2
    matrix = similarity(
        scale=scale,
        angle_deg=angle_deg,
        source_xy=(80.0, 84.0),
        target_xy=(middle + right_px, middle + down_px),
    )
    if mirrored:
        matrix = np.array([[-1.0, 0, _CANVAS_PX - 1], [0, 1, 0]]) @ np.vstack([matrix, [0, 0, 1]])
    points = np.full((len(rows), 5, 2), np.nan, np.float32)
    for n, index in enumerate(rows):
        picture = warp(crops.rgb(index), matrix, (_CANVAS_PX, _CANVAS_PX), border=_GREY)
        boxes, found, _ = teachers.detect_yunet(np.ascontiguousarray(picture[..., ::-1]), score=0.3)
        if not len(boxes):
            continue
        near = np.linalg.norm((boxes[:, :2] + boxes[:, 2:]) / 2 - middle, axis=1).argmin()
        back = _back(matrix, found[near])
        points[n] = back[[1, 0, 2, 4, 3]] if mirrored else back
    return points
