"""Made-up faces that move on known paths, as a detector would report them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from engines.arrays import Float32Array
from engines.types import Detections
from streamer.aligner import template_px
from streamer.look_back import LookBack, LookBackOptions, finalise
from streamer.plan import FramePlan
from streamer.track_table import TrackTable
from streamer.tracker import Tracker, TrackerOptions

SIZE_HW = (480, 640)
STEP_S = 0.04


def face_box(x: float, y: float, size: float = 80.0) -> Float32Array:
    """Box of a frontal face around a centre."""
    return np.array([x - size * 0.4, y - size * 0.5, x + size * 0.4, y + size * 0.5], np.float32)


def face_points(x: float, y: float, size: float = 80.0) -> Float32Array:
    """Landmarks of that face."""
    points = template_px(160)
    points = (points - points.mean(0)) / 112.0 * size * 0.9
    return np.asarray(points + np.array([x, y + 0.06 * size]), np.float32)


def detections(*faces: tuple[float, float, float, float]) -> Detections:
    """Faces given as x, y, size, score."""
    if not faces:
        return Detections.empty()
    return Detections(
        np.stack([face_box(x, y, size) for x, y, size, _ in faces]),
        np.stack([face_points(x, y, size) for x, y, size, _ in faces]),
        np.array([score for *_, score in faces], np.float32),
    )


Scene = Sequence[Detections]


def moving(
    count: int,
    path: Callable[[float], tuple[float, float, float]],
    *,
    missing: Sequence[int] = (),
    score: float = 0.9,
) -> list[Detections]:
    """One face on a path, not detected in some frames."""
    return [
        Detections.empty() if i in missing else detections((*path(i * STEP_S), score))
        for i in range(count)
    ]


def table_of(
    scene: Scene, *, cuts: Sequence[int] = (), options: TrackerOptions | None = None
) -> TrackTable:
    """Track a scene."""
    tracker, table = Tracker(options or TrackerOptions()), TrackTable()
    for i, found in enumerate(scene):
        time_s, cut = i * STEP_S, i in cuts
        faces = tracker.update(time_s, found, frame_size_hw=SIZE_HW, cut=cut)
        table.append(time_s, faces, found, frame_size_hw=SIZE_HW, cut=cut)
    return table


def plan_of(
    scene: Scene, *, cuts: Sequence[int] = (), options: LookBackOptions | None = None
) -> list[FramePlan]:
    """Track and plan a scene as a file."""
    return list(finalise(table_of(scene, cuts=cuts), options or LookBackOptions()))


def live_plan_of(
    scene: Scene,
    depth_frames: int,
    *,
    cuts: Sequence[int] = (),
    options: LookBackOptions | None = None,
) -> list[FramePlan]:
    """Track and plan a scene as a live source."""
    tracker = Tracker(TrackerOptions())
    window = LookBack(options or LookBackOptions())
    plans: list[FramePlan] = []
    for i, found in enumerate(scene):
        time_s, cut = i * STEP_S, i in cuts
        faces = tracker.update(time_s, found, frame_size_hw=SIZE_HW, cut=cut)
        window.add(time_s, faces, found, frame_size_hw=SIZE_HW, cut=cut)
        if len(window) > depth_frames:
            plans.append(window.release())
    return plans + window.flush()


def is_covered(plan: FramePlan, x: float, y: float, size: float) -> bool:
    """Whether one of the planned boxes hides the whole box of a face, or it is replaced there."""
    box = face_box(x, y, size)
    for face in plan:
        cover = face.box_xyxy_px
        if (cover[:2] <= box[:2] + 0.5).all() and (cover[2:] >= box[2:] - 0.5).all():
            return True
    return False
