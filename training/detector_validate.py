"""Validation during detector training: the exported network, run as the product runs it."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from engines.detector import DetectorSettings, FaceDetector
from engines.ort_engine import OrtEngine
from training.data_scenes import Scene
from training.data_scenes_geometry import faces_through, similarity, warp
from training.detector_score import Tally, operating_point, score_picture

__all__ = ["validate"]

_FLOOR = 0.1
_TILT_DEG = 35.0


def validate(model: Path, scenes: list[Scene], *, long_side_px: int = 640) -> dict[str, float]:
    """Measure ``model`` on ``scenes``, upright and tilted.

    Returns:
        Threshold, recall and precision where precision is 0.95; the median and mean landmark
        error upright, and recall and median error tilted by 35 degrees, at that threshold.
    """
    engine = OrtEngine(model.read_bytes(), model, model_name="training", threads=1)
    settings = DetectorSettings(long_side_px=long_side_px, two_looks=True)
    detector = FaceDetector(engine, settings=settings)
    upright, tilted = [], []
    for number, scene in enumerate(scenes):
        found = detector.detect([scene.rgb], threshold=_FLOOR)[0]
        upright.append(score_picture(found, scene.faces))
        if number % 3 == 0 and not scene.faces.ignore.all():
            tilted.append(_tilted(detector, scene, _TILT_DEG if number % 2 else -_TILT_DEG))
    engine.close()
    threshold, recall, precision = operating_point(upright)
    return {
        "threshold": threshold,
        "recall": recall,
        "precision": precision,
        "landmarks_mean": float(np.mean(_errors(upright, threshold))),
        "landmarks_median": float(np.median(_errors(upright, threshold))),
        "tilted_recall": _recall(tilted, threshold),
        "tilted_landmarks_median": float(np.median(_errors(tilted, threshold))),
    }


def _tilted(detector: FaceDetector, scene: Scene, angle_deg: float) -> Tally:
    height, width = scene.rgb.shape[:2]
    side = int(np.hypot(height, width))
    middle, target = (width / 2, height / 2), (side / 2, side / 2)
    turn = similarity(scale=1.0, angle_deg=angle_deg, source_xy=middle, target_xy=target)
    rgb = warp(scene.rgb, turn, (side, side), border=(127, 127, 127))
    found = detector.detect([rgb], threshold=_FLOOR)[0]
    return score_picture(found, faces_through(turn, scene.faces))


def _errors(tallies: list[Tally], threshold: float) -> list[float]:
    errors = [f.landmark_error for t in tallies for f in t.faces if f.score >= threshold]
    return [error for error in errors if np.isfinite(error)] or [1.0]


def _recall(tallies: list[Tally], threshold: float) -> float:
    scores = [f.score for t in tallies for f in t.faces]
    return float(np.mean([score >= threshold for score in scores])) if scores else 0.0
