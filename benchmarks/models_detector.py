"""Figures of the face detector on held-out data, with YuNet's beside them.

``python -m benchmarks.models`` prints them; `evaluate` is what it calls.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.models_detector_clips import ClipFrame, Finder, clip_frames, found_ratio
from benchmarks.models_detector_views import (
    View,
    dark_views,
    group_views,
    occluded_views,
    plain_views,
    tilted_views,
)
from engines.detector import DetectorSettings, FaceDetector
from engines.landmarks import LandmarkRefiner
from engines.loader import load_engine
from engines.manifest import WEIGHTS_FOLDER, load_manifest
from engines.preprocess import fit_free, rgb_to_canvas
from engines.types import Detections
from training.data_scenes import Scene, load_scenes
from training.detector_score import Tally, operating_point, score_picture
from training.teachers import load_teachers

__all__ = ["evaluate", "our_finder", "teacher_finder"]

_LONG_SIDE_PX = 640
_FLOOR = 0.05  # scores below are never of use; keeps the lists short
_THREADS = 2


def our_finder(
    *, manifest: Path | None = None, long_side_px: int = _LONG_SIDE_PX, threads: int = _THREADS
) -> tuple[Finder, DetectorSettings]:
    """Open our detector; the finder returns everything above a low floor."""
    facts = load_manifest(manifest or WEIGHTS_FOLDER / "detector.json")
    settings = replace(DetectorSettings.from_manifest(facts), long_side_px=long_side_px)
    engine = load_engine(facts, provider="cpu", threads=threads)
    points = load_manifest(WEIGHTS_FOLDER / "landmarks.json")
    refiner = LandmarkRefiner(load_engine(points, provider="cpu", threads=threads))
    detector = FaceDetector(engine, settings=settings, refiner=refiner)
    return (lambda rgb: detector.detect([rgb], threshold=_FLOOR)[0]), settings


def teacher_finder(
    shared: Path, name: str, *, score: float = _FLOOR, long_side_px: int | None = None
) -> Finder:
    """Open a teacher detector, ``yunet`` or ``retinaface``, optionally at our input size."""
    teachers = load_teachers(shared / "models")

    def find(rgb: NDArray[np.uint8]) -> Detections:
        factor = np.ones(2, np.float32)
        if long_side_px is not None:
            box = fit_free(
                (rgb.shape[0], rgb.shape[1]), long_side_px=long_side_px, most_enlarged=2.0
            )
            rgb, factor = rgb_to_canvas(rgb, box), box.factor_xy
        detect = teachers.detect_yunet if name == "yunet" else teachers.detect_retinaface
        boxes, points, scores = detect(np.ascontiguousarray(rgb[..., ::-1]), score=score)
        return Detections(
            (boxes / np.tile(factor, 2)).astype(np.float32),
            (points / factor).astype(np.float32),
            scores,
        )

    return find


def _tallies(find: Finder, views: Iterable[View]) -> list[Tally]:
    return [score_picture(find(v.rgb), v.faces, groups=v.groups) for v in views]


def _mean(values: list[float]) -> float | None:
    known = [value for value in values if np.isfinite(value)]
    return float(np.mean(known)) if known else None


def _summary(tallies: list[Tally], threshold: float) -> dict[str, object]:
    """Recall, landmark error and false faces at a threshold, whole and by group."""
    faces = [face for tally in tallies for face in tally.faces]
    false = sum(s >= threshold for tally in tallies for s in tally.false_scores)
    groups: dict[str, list[bool]] = defaultdict(list)
    for face in faces:
        for name in face.group:
            groups[name].append(face.score >= threshold)
    hits = sum(face.score >= threshold for face in faces)
    return {
        "recall": hits / max(len(faces), 1),
        "precision": hits / max(hits + false, 1),
        "landmark_error": _mean([f.landmark_error for f in faces if f.score >= threshold]),
        "faces": len(faces),
        "groups": {
            name: {"recall": float(np.mean(found)), "faces": len(found)}
            for name, found in sorted(groups.items())
        },
    }


def _time_ms(find: Finder, *, rounds: int) -> float:
    """Best wall time of a 640x360 frame; the best, since other work disturbs the others."""
    frame = np.random.default_rng(1).integers(0, 255, (360, 640, 3), np.uint8)
    find(frame)
    best = np.inf
    for _ in range(rounds):
        start = time.perf_counter()
        find(frame)
        best = min(best, time.perf_counter() - start)
    return float(best * 1e3)


def _judge(find: Finder, scenes: list[Scene], shared: Path, *, quick: bool) -> dict[str, object]:
    plain = _tallies(find, plain_views(scenes))
    threshold, recall, precision = operating_point(plain)
    bare = [s for s in scenes if s.source == "noface"]
    false = sum(s >= threshold for t in _tallies(find, plain_views(bare)) for s in t.false_scores)
    labelled = [s for s in scenes if s.source != "noface"]
    few = labelled[::4] if quick else labelled
    angles = (-45, 30) if quick else (-45, -30, -15, 15, 30, 45)
    tilted = _summary(_tallies(find, tilted_views(few, angles_deg=angles)), threshold)
    covered = {
        kind: _summary(_tallies(find, occluded_views(few, kind=kind)), threshold)
        for kind in ("mask", "glasses", "hand")
    }
    crowd = group_views(shared, scenes, most=60 if quick else 600)
    return {
        "threshold": threshold,
        "recall": recall,
        "precision": precision,
        "landmark_error": _summary(plain, threshold)["landmark_error"],
        "landmark_error_tilted": tilted["landmark_error"],
        "landmark_error_masked": covered["mask"]["landmark_error"],
        "false_faces_per_20_noface": 20 * false / max(len(bare), 1),
        "plain": _summary(plain, threshold),
        "tilted": tilted,
        "covered": covered,
        "dark": _summary(_tallies(find, dark_views(few)), threshold),
        "people": _summary(_tallies(find, crowd), threshold),
    }


def _clips(frames: list[ClipFrame], find: Finder, threshold: float) -> dict[str, object]:
    results = []
    for frame in frames:
        found = find(frame.rgb)
        keep = found.scores >= threshold
        results.append(
            Detections(found.boxes_xyxy_px[keep], found.landmarks_px[keep], found.scores[keep])
        )
    return found_ratio(frames, results)


def evaluate(shared: Path, *, quick: bool, manifest: Path | None = None) -> dict[str, object]:
    """Measure the detector and YuNet.

    Args:
        shared: the folder with ``faces``, ``models`` and ``clips``.
        quick: fewer pictures and frames.
        manifest: other weights than the shipped ones.

    Returns:
        Our figures, and YuNet's under ``yunet``; the clips count at the manifest's threshold.
    """
    scenes = load_scenes(shared / "faces", split="val")
    find, settings = our_finder(manifest=manifest)
    yunet = teacher_finder(shared, "yunet", long_side_px=_LONG_SIDE_PX)
    report = _judge(find, scenes, shared, quick=quick)
    other = _judge(yunet, scenes, shared, quick=quick)
    both = (
        teacher_finder(shared, "yunet", score=0.6),
        teacher_finder(shared, "retinaface", score=0.6),
    )
    frames = list(clip_frames(shared / "clips", every=20 if quick else 5, teachers=both))
    clips = _clips(frames, find, settings.score_threshold)
    report.update(
        clips_found_ratio=clips["ratio"],
        clips=clips,
        clips_keep=_clips(frames, find, settings.keep_threshold),
        manifest_threshold=settings.score_threshold,
        ms_640x360=_time_ms(find, rounds=10 if quick else 100),
    )
    other["ms_640x360"] = _time_ms(yunet, rounds=10 if quick else 100)
    report["yunet"] = other
    return report
