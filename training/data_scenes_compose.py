"""Composed training pictures: views of scenes, mosaics, and aligned crops pasted over both."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data_scenes import CropSet, Faces, Scene, empty_faces
from training.data_scenes_geometry import (
    boxes_through,
    clip_faces,
    faces_through,
    points_through,
    similarity,
    warp,
)
from training.data_scenes_paint import degrade, occlude

__all__ = ["Composer", "Sample", "paste_crop"]

_SMALLEST_PX = 6.0
_MOST_FACE_PX = 190.0  # nearer faces fit the coarser of the two looks
_LEAST_FACE_PX = 11.0  # wanted size; turned and clipped faces come out smaller
_CANVAS = np.array([[0, 0], [160, 0], [160, 160], [0, 160]], np.float32)
_SHARES = {"wider": 0.46, "afw": 0.14, "helen": 0.13, "celeba": 0.09, "noface": 0.18}


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One composed picture, ``rgb (size, size, 3) uint8``, and its faces."""

    rgb: NDArray[np.uint8]
    faces: Faces


class Composer:
    """Draws samples from the material it was given.

    Keeps no state between draws, so threads may share it.
    """

    def __init__(self, scenes: list[Scene], crops: CropSet | None, *, size_px: int) -> None:
        self._groups = {name: [s for s in scenes if s.source == name] for name in _SHARES}
        self._groups = {name: group for name, group in self._groups.items() if group}
        share = np.array([_SHARES[name] for name in self._groups])
        self._shares = share / share.sum()
        self._crops = crops
        self._size = size_px

    def draw(self, rng: np.random.Generator) -> Sample:
        """Return one new sample."""
        size = self._size
        pick = rng.random()
        if pick < 0.15:
            rgb, faces = self._mosaic(rng, parts=2)
        elif pick < 0.2:
            rgb, faces = self._mosaic(rng, parts=3)
        else:
            rgb, faces = self._view(rng, (size, size))
        if self._crops is not None and rng.random() < 0.4:
            faces = self._paste_some(rgb, faces, self._crops, rng)
        if rng.random() < 0.15:
            faces = self._paste_decoys(rgb, faces, rng)
        faces = clip_faces(faces, size_wh=(size, size), smallest_px=_SMALLEST_PX)
        occlude(rgb, faces, rng, share_ratio=0.22)
        return Sample(degrade(rgb, rng), faces)

    def _scene(self, rng: np.random.Generator, *, faceless: bool = False) -> Scene:
        names = list(self._groups)
        name = (
            "noface"
            if faceless and "noface" in names
            else names[int(rng.choice(len(names), p=self._shares))]
        )
        group = self._groups[name]
        return group[int(rng.integers(len(group)))]

    def _view(
        self, rng: np.random.Generator, size_wh: tuple[int, int]
    ) -> tuple[NDArray[np.uint8], Faces]:
        """Show part of a scene, scaled so that one face gets a size drawn evenly on a log scale."""
        scene = self._scene(rng)
        side = float(min(size_wh))
        height, width = scene.rgb.shape[:2]
        known = np.flatnonzero(~scene.faces.ignore)
        angle = (
            0.0
            if rng.random() < 0.5
            else float(rng.uniform(-52, 52) if rng.random() < 0.5 else rng.normal(0, 12))
        )
        target = tuple(float(rng.uniform(0.05, 0.95)) * v for v in size_wh)
        if len(known):
            box = scene.faces.box_xyxy_px[int(rng.choice(known))]
            extent = float(np.sqrt((box[2:] - box[:2]).prod()))
            wanted = float(
                np.exp(rng.uniform(np.log(_LEAST_FACE_PX), np.log(min(side * 0.95, _MOST_FACE_PX))))
            )
            scale = float(np.clip(wanted / extent, 0.45 * side / max(height, width), 2.2))
            centre = (float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2)
        else:
            scale = float(np.exp(rng.uniform(np.log(0.3), np.log(1.6)))) * side / 320
            centre = (float(rng.uniform(0.2, 0.8)) * width, float(rng.uniform(0.2, 0.8)) * height)
            target = (size_wh[0] / 2, size_wh[1] / 2)
        matrix = similarity(
            scale=scale, angle_deg=angle, source_xy=centre, target_xy=(target[0], target[1])
        )
        grey = int(rng.integers(0, 256))
        rgb = warp(scene.rgb, matrix, size_wh, border=(grey, grey, grey))
        if rng.random() < 0.85:
            self._fill_outside_into(rgb, scene, matrix, rng)
        return rgb, clip_faces(
            faces_through(matrix, scene.faces), size_wh=size_wh, smallest_px=_SMALLEST_PX
        )

    def _fill_outside_into(
        self,
        rgb: NDArray[np.uint8],
        scene: Scene,
        matrix: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> None:
        height, width = scene.rgb.shape[:2]
        corners = points_through(
            matrix, np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
        )
        covered = np.zeros(rgb.shape[:2], np.uint8)
        cv2.fillConvexPoly(covered, corners.round().astype(np.int32), 1)
        if covered.all():
            return
        other = self._scene(rng, faceless=True)
        if len(other.faces.ignore):
            return
        filler = cv2.resize(other.rgb, (rgb.shape[1], rgb.shape[0]), interpolation=cv2.INTER_AREA)
        rgb[covered == 0] = filler[covered == 0]

    def _mosaic(self, rng: np.random.Generator, *, parts: int) -> tuple[NDArray[np.uint8], Faces]:
        size, faces = self._size, empty_faces()
        canvas = np.zeros((size, size, 3), np.uint8)
        cuts = np.concatenate(
            [[0], (np.arange(1, parts) + rng.uniform(-0.2, 0.2, parts - 1)) * size / parts, [size]]
        )
        edges = cuts.round().astype(int)
        for top, bottom in pairwise(edges):
            for left, right in pairwise(edges):
                tile, found = self._view(rng, (int(right - left), int(bottom - top)))
                canvas[top:bottom, left:right] = tile
                shift = np.array([[1.0, 0.0, left], [0.0, 1.0, top]])
                faces = faces.join(faces_through(shift, found))
        return canvas, faces

    def _paste_some(
        self, rgb: NDArray[np.uint8], faces: Faces, crops: CropSet, rng: np.random.Generator
    ) -> Faces:
        pick = rng.random()
        count, largest = (
            (2, min(0.9 * self._size, _MOST_FACE_PX))
            if pick < 0.4
            else (int(rng.integers(3, 7)), 100.0)
        )
        if pick > 0.8:
            count, largest = int(rng.integers(6, 16)), 44.0
        for _ in range(count):
            wanted = float(np.exp(rng.uniform(np.log(_LEAST_FACE_PX), np.log(largest))))
            faces = self._paste(rgb, faces, crops, rng, size_px=wanted)
        return faces

    def _paste(
        self,
        rgb: NDArray[np.uint8],
        faces: Faces,
        crops: CropSet,
        rng: np.random.Generator,
        *,
        size_px: float,
    ) -> Faces:
        index = int(rng.integers(len(crops.encoded)))
        if crops.fill[index] < 0.8 and rng.random() < 0.5:
            return faces
        box = crops.box[index]
        angle = float(rng.uniform(-52, 52) if rng.random() < 0.45 else rng.normal(0, 10))
        if rng.random() < 0.04:
            angle = float(rng.uniform(-100, 100))
        target = (float(rng.uniform(0, 1)) * self._size, float(rng.uniform(0, 1)) * self._size)
        new = _crop_faces(crops, index, size_px=size_px, angle_deg=angle, target_xy=target)
        hidden = _overlap(faces.box_xyxy_px, new[0].box_xyxy_px[0])
        if (hidden[~faces.ignore] > 0.12).any():
            return faces
        _blend_into(rgb, crops.rgb(index), _paste_alpha(crops.quad[index], box, rng), new[1])
        return faces.select(hidden < 0.7).join(new[0])

    def _paste_decoys(
        self, rgb: NDArray[np.uint8], faces: Faces, rng: np.random.Generator
    ) -> Faces:
        """Paste pieces without faces just like faces, so that a seam is no sign of one."""
        for _ in range(int(rng.integers(1, 4))):
            scene = self._scene(rng, faceless=True)
            height, width = scene.rgb.shape[:2]
            if len(scene.faces.ignore) or min(height, width) <= 160:
                continue
            x, y = int(rng.integers(width - 160)), int(rng.integers(height - 160))
            piece = scene.rgb[y : y + 160, x : x + 160]
            target = (float(rng.uniform(0, self._size)), float(rng.uniform(0, self._size)))
            scale = float(np.exp(rng.uniform(np.log(0.12), np.log(1.2))))
            turn = float(rng.uniform(0, 360))
            matrix = similarity(
                scale=scale, angle_deg=turn, source_xy=(80.0, 80.0), target_xy=target
            )
            box = np.array([40.0, 36.0, 120.0, 128.0], np.float32)
            cover = boxes_through(matrix, np.array([[0, 0, 160, 160]], np.float32))[0]
            if (_overlap(faces.box_xyxy_px, cover) > 0.1).any():
                continue
            _blend_into(rgb, piece, _paste_alpha(_CANVAS, box, rng), matrix)
        return faces


def paste_crop(
    rgb: NDArray[np.uint8],
    crops: CropSet,
    index: int,
    rng: np.random.Generator,
    *,
    size_px: float,
    angle_deg: float,
    target_xy: tuple[float, float],
) -> Faces:
    """Blend one crop into ``rgb (H, W, 3)``, in place, and return the face it brought."""
    faces, matrix = _crop_faces(
        crops, index, size_px=size_px, angle_deg=angle_deg, target_xy=target_xy
    )
    alpha = _paste_alpha(crops.quad[index], crops.box[index], rng)
    _blend_into(rgb, crops.rgb(index), alpha, matrix)
    return faces


def _crop_faces(
    crops: CropSet, index: int, *, size_px: float, angle_deg: float, target_xy: tuple[float, float]
) -> tuple[Faces, NDArray[np.float64]]:
    box = crops.box[index]
    scale = size_px / float(np.sqrt((box[2:] - box[:2]).prod()))
    middle = (float(box[0] + box[2]) / 2, float(box[1] + box[3]) / 2)
    matrix = similarity(scale=scale, angle_deg=angle_deg, source_xy=middle, target_xy=target_xy)
    face = Faces(box[None], crops.points[index][None], np.zeros(1, np.bool_))
    return faces_through(matrix, face), matrix


def _overlap(box: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the share of each ``box (K, 4)`` that ``other (4,)`` covers."""
    low, high = np.maximum(box[:, :2], other[:2]), np.minimum(box[:, 2:], other[2:])
    area = np.maximum((box[:, 2:] - box[:, :2]).prod(1), 1e-3)
    return np.asarray((high - low).clip(0).prod(1) / area, np.float32)


def _paste_alpha(
    quad: NDArray[np.float32], box: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the feathered opacity ``(160, 160)`` of a crop.

    It is the part that the source covers, whole or cut to an ellipse round the head.
    """
    alpha = np.zeros((160, 160), np.uint8)
    cv2.fillConvexPoly(alpha, quad.round().astype(np.int32), 255)
    if rng.random() < 0.5:
        shape = np.zeros_like(alpha)
        grow = float(rng.uniform(1.1, 1.5))
        middle, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2 * grow
        axes = (int(half[0]), int(half[1]))
        cv2.ellipse(shape, (int(middle[0]), int(middle[1])), axes, 0, 0, 360, 255, -1)
        alpha = np.minimum(alpha, shape)
    feather = int(rng.integers(1, 9))
    alpha[:feather], alpha[-feather:], alpha[:, :feather], alpha[:, -feather:] = 0, 0, 0, 0
    soft = cv2.blur(alpha, (2 * feather + 1, 2 * feather + 1)).astype(np.float32) / 255
    return np.clip(soft * 2 - 1, 0, 1) if rng.random() < 0.7 else soft


def _blend_into(
    rgb: NDArray[np.uint8],
    piece: NDArray[np.uint8],
    alpha: NDArray[np.float32],
    matrix: NDArray[np.float64],
) -> None:
    """Blend ``piece (160, 160, 3)`` into ``rgb`` through ``matrix``, touching only its place."""
    height, width = rgb.shape[:2]
    corners = points_through(matrix, _CANVAS)
    left, top = np.clip(np.floor(corners.min(0)).astype(int), 0, (width, height))
    right, bottom = np.clip(np.ceil(corners.max(0)).astype(int), 0, (width, height))
    if right - left < 2 or bottom - top < 2:
        return
    local = matrix - np.array([[0, 0, left], [0, 0, top]])
    size_wh = (int(right - left), int(bottom - top))
    packed = np.dstack([piece, (alpha * 255).astype(np.uint8)])
    moved = warp(packed, local, size_wh, border=(0, 0, 0)).astype(np.float32)
    opacity = moved[..., 3:] / 255
    part = rgb[top:bottom, left:right]
    part[:] = (opacity * moved[..., :3] + (1 - opacity) * part).astype(np.uint8)
