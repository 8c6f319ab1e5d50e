"""Refined landmarks: five points found anew in a small grey crop of each detected face.

A detector's own points suffer from its coarse cells and from tilted heads; alignment needs better.
"""

from __future__ import annotations

import math
from pathlib import Path

import cv2
import numpy as np

from engines.arrays import Float32Array, Float64Array, UInt8Array
from engines.errors import EngineLoadError
from engines.protocols import Engine
from engines.types import Detections

__all__ = ["CROP_PX", "LandmarkRefiner", "crop_matrix", "grey_crop", "upright_matrix"]

CROP_PX = 64
_MARGIN = 1.5  # side of the crop in face sizes; the box may be off by a fifth
_LEAST_FACE_PX = 6.0
# Eyes, nose and mouth of an upright face about their mean, in px of the second look's crop.
_UPRIGHT = np.array([-11.3 - 13.1j, 11.2 - 13.2j, -0.3j, -9.2 + 12.9j, 9.4 + 12.8j])
_SCALE_LIMITS = (0.8, 1.8)  # of the box's own scale: points that say otherwise are wrong


def crop_matrix(box_xyxy_px: Float32Array, *, angle_deg: float = 0.0) -> Float64Array:
    """Return the 2x3 map from the picture to the crop of one box, turned by ``angle_deg``."""
    x1, y1, x2, y2 = (float(v) for v in box_xyxy_px)
    scale, angle = _scale_of(box_xyxy_px), math.radians(angle_deg)
    turn = complex(scale * math.cos(angle), scale * math.sin(angle))
    return _centred(turn, (x1 + x2) / 2, (y1 + y2) / 2)


def upright_matrix(points_px: Float32Array, box_xyxy_px: Float32Array) -> Float64Array:
    """Return the 2x3 map to a crop where the face with ``points_px (5, 2)`` stands upright.

    All five points set its place, turn and size by least squares, so errors of single ones
    average out; what lies far from the box is not believed.
    """
    x1, y1, x2, y2 = (float(v) for v in box_xyxy_px)
    middle = points_px.mean(0, dtype=np.float64)
    around = (points_px - middle) @ np.array([1, 1j])
    turn = complex(np.vdot(around, _UPRIGHT)) / max(float(np.vdot(around, around).real), 1e-6)
    by_box = _scale_of(box_xyxy_px)
    low, high = (limit * by_box for limit in _SCALE_LIMITS)
    size = abs(turn)
    turn = turn * min(max(size, low), high) / size if size > 1e-9 else complex(by_box)
    x, y = np.clip(middle, (x1, y1), (x2, y2)).tolist()
    return _centred(turn, x, y)


def _scale_of(box_xyxy_px: Float32Array) -> float:
    """Crop pixels for one pixel of the picture, by the size of the box."""
    x1, y1, x2, y2 = (float(v) for v in box_xyxy_px)
    face_px = math.sqrt(max((x2 - x1) * (y2 - y1), 1.0))
    return CROP_PX / (_MARGIN * max(face_px, _LEAST_FACE_PX))


def _centred(turn: complex, x: float, y: float) -> Float64Array:
    """The map that scales and turns by a complex factor and puts x, y in the crop's middle."""
    a, b, half = turn.real, turn.imag, CROP_PX / 2
    return np.array([[a, -b, half - (a * x - b * y)], [b, a, half - (b * x + a * y)]])


def grey_crop(luma: UInt8Array, matrix: Float64Array) -> UInt8Array:
    """Cut ``(64, 64)`` out of ``luma (H, W) uint8``; big faces are shrunk without aliasing."""
    (a, b, _), (c, d, _) = matrix.tolist()
    scale = math.sqrt(abs(a * d - b * c))
    factor = max(1, int(1 / scale))
    if factor > 1:
        side = CROP_PX * factor
        matrix = matrix * factor
        # Pixel centres: averaging blocks shifts them by half a block less half a pixel.
        matrix[:, 2] += (factor - 1) / 2
    else:
        side = CROP_PX
    big = cv2.warpAffine(
        luma, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    if factor > 1:
        big = cv2.resize(big, (CROP_PX, CROP_PX), interpolation=cv2.INTER_AREA)
    return np.asarray(big, np.uint8)


class LandmarkRefiner:
    """Finds the five points of detected faces again; one thread at a time.

    The engine belongs to the caller: ``input`` (N, 1, 64, 64) in [-1, 1] to ``points`` (N, 10),
    x y from the crop's middle in halves of its side.

    Args:
        engine: the loaded network.

    Raises:
        EngineLoadError: the network's input or output has another form.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        shapes = [spec.shape[1:] for spec in (*engine.inputs, *engine.outputs)]
        if shapes != [(1, CROP_PX, CROP_PX), (10,)]:
            raise EngineLoadError(
                Path(engine.describe().model),
                f"a landmark refiner maps (N, 1, 64, 64) to (N, 10), this has {shapes}",
            )

    def refine(
        self, luma: UInt8Array, found: Detections, *, least_score: float = 0.0
    ) -> Detections:
        """Replace the points of ``found`` by those seen in ``luma (H, W) uint8``.

        The first look gives place, size and tilt, the second sees every head upright and centred.
        Faces that score less than ``least_score`` keep their points: most are no faces, and each
        costs about a millisecond.
        """
        chosen = np.flatnonzero(found.scores >= least_score)
        if not len(chosen):
            return found
        boxes = found.boxes_xyxy_px[chosen]
        first = self._look(luma, [crop_matrix(box) for box in boxes])
        points = found.landmarks_px.copy()
        upright = [upright_matrix(face, box) for face, box in zip(first, boxes, strict=True)]
        points[chosen] = self._look(luma, upright)
        return Detections(found.boxes_xyxy_px, points, found.scores)

    def _look(self, luma: UInt8Array, matrices: list[Float64Array]) -> Float32Array:
        x = np.stack([grey_crop(luma, matrix) for matrix in matrices])[:, None]
        batch = (x.astype(np.float32) - 127.5) / np.float32(127.5)
        values = self._engine.infer({self._engine.inputs[0].name: batch})
        local = values[self._engine.outputs[0].name].reshape(-1, 5, 2) * (CROP_PX / 2) + CROP_PX / 2
        points = np.empty((len(matrices), 5, 2), np.float32)
        for index, matrix in enumerate(matrices):
            back = np.asarray(cv2.invertAffineTransform(matrix), np.float64)
            points[index] = local[index] @ back[:, :2].T + back[:, 2]
        return points
