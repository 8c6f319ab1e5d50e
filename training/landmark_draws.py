"""Pictures of faces as cameras and detectors give them, and the two looks that are taken at each.

The second look is cut where the network's own first answer says, as in `engines.landmarks`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.landmarks import CROP_PX, crop_matrix, grey_crop, upright_matrix
from training.data_scenes import CropSet, Faces
from training.data_scenes_geometry import is_turned, points_through
from training.data_scenes_paint import occlude

__all__ = ["GreyCrops", "Look", "Picture", "draw_pictures", "first_looks", "second_looks"]

_SIDE_PX = 160
_TILT_DEG = 60.0
_TURNED_RATIO = 0.15  # nose beside the middle of the eyes, in eye distances
_SMALLEST_RATIO = 0.2  # of 160 px: a face of about 16 px


@dataclass(frozen=True, slots=True, eq=False)
class GreyCrops:
    """Crops decoded once: ``luma (N, 160, 160) uint8``, ``box (N, 4)``, ``points (N, 5, 2)``."""

    luma: NDArray[np.uint8]
    box: NDArray[np.float32]
    points: NDArray[np.float32]

    @staticmethod
    def of(crops: CropSet) -> GreyCrops:
        """Decode all of ``crops``; decoding at every draw would take most of a step."""
        luma = np.empty((len(crops.encoded), _SIDE_PX, _SIDE_PX), np.uint8)
        for index, target in enumerate(luma):
            target[:] = cv2.cvtColor(crops.rgb(index), cv2.COLOR_RGB2GRAY)
        return GreyCrops(luma, crops.box, crops.points)

    def shares(self) -> NDArray[np.float64]:
        """How often to draw each crop ``(N,)``: turned heads are few and hard, so twice."""
        weights = np.where(is_turned(self.points, _TURNED_RATIO), 2.0, 1.0)
        return np.asarray(weights / weights.sum(), np.float64)


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A face, ``luma (S, S) uint8``: its detector's ``box (4,)`` and true ``points (5, 2)`` in px.

    The first look sees it turned by ``tilt_deg``.
    """

    luma: NDArray[np.uint8]
    box: NDArray[np.float32]
    points: NDArray[np.float32]
    tilt_deg: float


@dataclass(frozen=True, slots=True, eq=False)
class Look:
    """Crops ``grey (N, 64, 64)``, their true points ``(N, 5, 2)`` in half sides, and the maps."""

    grey: NDArray[np.uint8]
    wanted: NDArray[np.float32]
    matrices: NDArray[np.float64]

    def in_pictures(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Found points ``(N, 10)`` in half sides as ``(N, 5, 2)`` px of the pictures."""
        local = (points.reshape(-1, 5, 2) + 1) * (CROP_PX / 2) - self.matrices[:, None, :, 2]
        back = np.linalg.inv(self.matrices[:, :, :2])
        return np.asarray(np.einsum("nij,nkj->nki", back, local), np.float32)


def draw_pictures(
    crops: GreyCrops,
    shares: NDArray[np.float64],
    count: int,
    rng: np.random.Generator,
    *,
    tilt_deg: float = _TILT_DEG,
) -> list[Picture]:
    """Draw ``count`` pictures: covered, mirrored, small, dark and noisy at random."""
    drawn = []
    for index in rng.choice(len(crops.luma), count, p=shares):
        luma, points, box = crops.luma[index], crops.points[index], crops.box[index]
        if rng.random() < 0.35:
            luma = _covered(luma, Faces(box[None], points[None], np.zeros(1, np.bool_)), rng)
        if rng.random() < 0.5:
            luma = np.ascontiguousarray(luma[:, ::-1])
            points = (_SIDE_PX - 1, 0) - points[[1, 0, 2, 4, 3]] * (1, -1)
            box = (_SIDE_PX - 1, 0, _SIDE_PX - 1, 0) - box[[2, 1, 0, 3]] * (1, -1, 1, -1)
        size = box[2:] - box[:2]
        middle = (box[:2] + box[2:]) / 2 + rng.normal(0, 0.05, 2) * size
        half = size / 2 * np.exp(rng.normal(0, 0.08, 2))
        small, factor = _worn(luma, rng)
        box = (np.concatenate([middle - half, middle + half]) + 0.5) * factor - 0.5
        points = (points + 0.5) * factor - 0.5
        spread = rng.random() < 0.6
        angle = float(rng.uniform(-tilt_deg, tilt_deg) if spread else rng.normal(0, 8))
        drawn.append(Picture(small, box.astype(np.float32), points.astype(np.float32), angle))
    return drawn


def first_looks(pictures: Sequence[Picture]) -> Look:
    """Cut each picture by its box."""
    return _cut(pictures, lambda n: crop_matrix(pictures[n].box, angle_deg=pictures[n].tilt_deg))


def second_looks(pictures: Sequence[Picture], found: NDArray[np.float32]) -> Look:
    """Cut each picture by the points ``found (N, 5, 2)`` in its pixels."""
    return _cut(pictures, lambda n: upright_matrix(found[n], pictures[n].box))


def _cut(pictures: Sequence[Picture], matrix_of: Callable[[int], NDArray[np.float64]]) -> Look:
    grey = np.empty((len(pictures), CROP_PX, CROP_PX), np.uint8)
    wanted = np.empty((len(pictures), 5, 2), np.float32)
    matrices = np.empty((len(pictures), 2, 3))
    for n, picture in enumerate(pictures):
        matrices[n] = matrix_of(n)
        grey[n] = grey_crop(picture.luma, matrices[n])
        wanted[n] = points_through(matrices[n], picture.points) * (2 / CROP_PX) - 1
    return Look(grey, wanted, matrices)


def _covered(luma: NDArray[np.uint8], face: Faces, rng: np.random.Generator) -> NDArray[np.uint8]:
    rgb = np.repeat(luma[..., None], 3, 2)
    occlude(rgb, face, rng, share_ratio=1.0)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def _worn(luma: NDArray[np.uint8], rng: np.random.Generator) -> tuple[NDArray[np.uint8], float]:
    """Fewer pixels, less light and contrast, noise, JPEG; also returns the change in scale."""
    side = _SIDE_PX
    if rng.random() < 0.55:
        side = round(_SIDE_PX * float(np.exp(rng.uniform(np.log(_SMALLEST_RATIO), 0))))
        luma = np.asarray(cv2.resize(luma, (side, side), interpolation=cv2.INTER_AREA), np.uint8)
    gain, lift = float(np.exp(rng.normal(-0.1, 0.4))), float(rng.normal(0, 15))
    light = luma * np.float32(gain) + np.float32(lift)
    if rng.random() < 0.4:
        spread = np.float32(rng.uniform(0, 8))
        light += rng.standard_normal(luma.shape, np.float32) * spread
    worn = light.clip(0, 255).astype(np.uint8)
    if rng.random() < 0.25:
        _, data = cv2.imencode(".jpg", worn, [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(30, 85))])
        worn = np.asarray(cv2.imdecode(data, cv2.IMREAD_GRAYSCALE), np.uint8)
    return worn, side / _SIDE_PX
