"""The 66 landmarks of the teacher: labels, mirrored ones, and a loss on them."""

from __future__ import annotations

from types import ModuleType
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "TEACHER_PX",
    "WINDOW_XYXY_PX",
    "label_landmarks",
    "landmark_loss",
    "landmark_weights",
    "mirror_landmarks",
]

_POINTS: Final = 66
# The face in an aligned 160 px crop, a little larger than a detector box, as the teacher wants it.
WINDOW_XYXY_PX: Final = (30, 26, 130, 152)
TEACHER_PX: Final = 224
# The mouth's order is the teacher's own (48-52 upper lip, 53-57 lower lip, 58 and 62 the corners):
# found by matching the mean face with its mirror image.
_MIRROR: Final = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    27, 28, 29, 30, 35, 34, 33, 32, 31,
    45, 44, 43, 42, 47, 46, 39, 38, 37, 36, 41, 40,
    52, 51, 50, 49, 48, 57, 56, 55, 54, 53, 62, 61, 60, 59, 58, 65, 64, 63,
)  # fmt: skip


def mirror_landmarks(marks: NDArray[np.float32], *, width_px: int) -> NDArray[np.float32]:
    """(66, 3) x, y, confidence of a crop to those of the mirrored crop."""
    out = marks[list(_MIRROR)].copy()
    out[:, 0] = width_px - 1 - out[:, 0]
    return out


def label_landmarks(crops: NDArray[np.uint8], teachers: ModuleType) -> NDArray[np.float32]:
    """The teacher's landmarks of (N, 160, 160, 3) RGB crops: (N, 66, 3) x, y, confidence."""
    net = teachers.session("landmarks66_openseeface.onnx")
    x1, y1, x2, y2 = WINDOW_XYXY_PX
    scale = np.array([x2 - x1, y2 - y1], np.float32) / TEACHER_PX
    out = np.zeros((len(crops), _POINTS, 3), np.float32)
    for i, crop in enumerate(crops):
        face = cv2.resize(np.asarray(crop[y1:y2, x1:x2]), (TEACHER_PX, TEACHER_PX))
        x = (face.astype(np.float32) - teachers.IMAGENET_MEAN) / teachers.IMAGENET_STD
        maps = net.run(
            None, {"input": np.ascontiguousarray(x.transpose(2, 0, 1)[None], np.float32)}
        )
        points, confidence = _decode(maps[0][0].reshape(3, _POINTS, 784))
        out[i] = np.hstack([points * scale + (x1, y1), confidence[:, None]])
    return out


def _decode(maps: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Heat maps and offsets (3, 66, 784) to (66, 2) x, y in the teacher's input and confidence."""
    each = np.arange(_POINTS)
    best = maps[0].argmax(1)
    p = np.clip(maps[1:, each, best], 1e-7, 1 - 1e-7)
    down, across = 223 * np.log(p / (1 - p)) / 16
    points = np.stack([223 * (best % 28) / 27 + across, 223 * (best // 28) / 27 + down], 1)
    return points.astype(np.float32), maps[0, each, best]


def landmark_weights() -> Tensor:
    """(66,) weights: mouth and eyes carry the expression, the jaw line carries identity."""
    weights = torch.ones(_POINTS)
    weights[:17] = 0.3
    weights[17:36] = 0.7
    weights[36:48] = 2.0
    weights[48:] = 1.5
    return weights / weights.mean()


def landmark_loss(
    found: Tensor, wanted: Tensor, weights: Tensor, *, tolerance_px: float = 0.0
) -> Tensor:
    """Mean smooth distance in crop pixels; ``weights`` (N, 66) or (66,).

    A tolerance leaves the generator room to leave a copy of its input (see ``colour_loss``).
    """
    distance = torch.sqrt((found - wanted).square().sum(2) + 0.25) - 0.5
    return (F.relu(distance - tolerance_px) * weights).mean()
