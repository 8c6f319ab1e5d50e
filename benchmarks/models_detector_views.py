"""Held-out pictures for the detector: validation scenes as they are, tilted, covered and dark.

Also held-out crops of labelled groups on pictures without faces.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data_scenes import CropSet, Faces, Scene, load_crops
from training.data_scenes_compose import paste_crop
from training.data_scenes_geometry import faces_through, points_through, similarity, warp
from training.data_scenes_paint import Occluder, occlude
from training.teachers import load_teachers

__all__ = ["View", "dark_views", "group_views", "occluded_views", "plain_views", "tilted_views"]

_GREY = (127, 127, 127)


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A picture ``(H, W, 3) uint8 RGB``, its faces, and group names that hold for all of them."""

    rgb: NDArray[np.uint8]
    faces: Faces
    groups: tuple[str, ...]


def plain_views(scenes: list[Scene]) -> Iterator[View]:
    """The scenes as they are."""
    for scene in scenes:
        yield View(scene.rgb, scene.faces, (f"source {scene.source}",))


def tilted_views(scenes: list[Scene], *, angles_deg: tuple[int, ...]) -> Iterator[View]:
    """The scenes turned as a whole by each angle, on a canvas that holds them."""
    for scene in scenes:
        if scene.faces.ignore.all():
            continue
        height, width = scene.rgb.shape[:2]
        middle = (width / 2, height / 2)
        for angle in angles_deg:
            turn = similarity(scale=1.0, angle_deg=angle, source_xy=middle, target_xy=(0.0, 0.0))
            corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
            moved = points_through(turn, corners)
            turn[:, 2] -= moved.min(0)
            size = (int(np.ptp(moved[:, 0])) + 1, int(np.ptp(moved[:, 1])) + 1)
            rgb = warp(scene.rgb, turn, size, border=_GREY)
            yield View(rgb, faces_through(turn, scene.faces), (f"tilt {abs(angle)}",))


def occluded_views(scenes: list[Scene], *, kind: Occluder) -> Iterator[View]:
    """The scenes with something painted over every face whose landmarks are known."""
    for number, scene in enumerate(scenes):
        known = np.isfinite(scene.faces.points_px).all((1, 2))
        if not (known & ~scene.faces.ignore).any():
            continue
        rgb = scene.rgb.copy()
        occlude(rgb, scene.faces, np.random.default_rng((5, number)), share_ratio=1.0, kind=kind)
        faces = Faces(scene.faces.box_xyxy_px, scene.faces.points_px, scene.faces.ignore | ~known)
        yield View(rgb, faces, (kind,))


def dark_views(scenes: list[Scene]) -> Iterator[View]:
    """The scenes at a quarter of their light, with noise and hard JPEG compression."""
    for number, scene in enumerate(scenes):
        noise = np.random.default_rng((6, number)).normal(0, 4, scene.rgb.shape)
        rgb = np.clip(scene.rgb * 0.25 + noise, 0, 255).astype(np.uint8)
        _, data = cv2.imencode(".jpg", rgb, [cv2.IMWRITE_JPEG_QUALITY, 40])
        decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
        yield View(decoded, scene.faces, ("dark",))


def group_views(shared: Path, scenes: list[Scene], *, most: int) -> Iterator[View]:
    """Held-out crops with stated age, gender or race, one on each picture without faces."""
    crops = _held_out(shared)
    backgrounds = [s for s in scenes if s.source == "noface" and not len(s.faces.ignore)]
    stated = [i for i, row in enumerate(crops.labels) if row["race"] or row["gender"]]
    for number, index in enumerate(stated[:most]):
        rng = np.random.default_rng((7, number))
        ground = backgrounds[int(rng.integers(len(backgrounds)))]
        rgb = ground.rgb.copy()
        size = float(rng.uniform(30, 120))
        place = tuple(float(rng.uniform(0.2, 0.8)) * side for side in rgb.shape[1::-1])
        faces = paste_crop(
            rgb,
            crops,
            index,
            rng,
            size_px=size,
            angle_deg=float(rng.uniform(-30, 30)),
            target_xy=(place[0], place[1]),
        )
        yield View(rgb, faces, _group_names(crops.labels[index]))


def _held_out(shared: Path) -> CropSet:
    teachers = load_teachers(shared / "models")

    def boxer(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        boxes, _, _ = teachers.detect_yunet(np.ascontiguousarray(rgb[..., ::-1]), score=0.5)
        return np.asarray(boxes[0], np.float32) if len(boxes) else np.full(4, np.nan, np.float32)

    return load_crops(shared / "faces", split="val", boxer=boxer, cache=None)


def _group_names(row: dict[str, str]) -> tuple[str, ...]:
    names = [f"{key} {row[key]}" for key in ("gender", "race") if row[key]]
    if row["age"]:
        age = float(row["age"])
        names.append("age 0-17" if age < 18 else "age 18-59" if age < 60 else "age 60+")
    return tuple(names)
