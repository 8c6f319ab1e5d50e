"""Detection, landmarks, head pose, expression and likeness of aligned crops."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Final

import cv2
import numpy as np

from benchmarks.generator_judges import DlibTools, landmarks66
from benchmarks.judges_cache import Memo
from benchmarks.privacy_gaze import dark_centres
from engines.arrays import Float32Array, Float64Array, UInt8Array
from engines.face_mask import face_mask

__all__ = [
    "FaceReader",
    "Likeness",
    "Looks",
    "head_pose_deg",
    "inner_psnr",
    "openings",
    "outer_psnr",
    "perceptual_distance",
]

_MARGIN_PX: Final = 48
_FACE_SCORE: Final = 0.6
# The rigid points of a generic head: nose tip, chin, outer eye corners, mouth corners (mm/10).
_HEAD: Final = np.array(
    [
        *((0.0, 0.0, 0.0), (0.0, 330.0, 65.0), (-225.0, -170.0, 135.0)),
        *((225.0, -170.0, 135.0), (-150.0, 150.0, 125.0), (150.0, 150.0, 125.0)),
    ]
)
_HEAD_POINTS: Final = (30, 8, 36, 45, 48, 54)
_SCALES: Final = 3
# Wang's weights of the three finest of five scales, scaled to a sum of 1.
_SCALE_WEIGHTS: Final = np.array([0.0448, 0.2856, 0.3001]) / 0.6305
_FACE_ROWS: Final = slice(44, 142)
_FACE_COLUMNS: Final = slice(34, 126)


@dataclass(frozen=True, slots=True, eq=False)
class Looks:
    """What the readers see in N crops.

    Attributes:
        is_face: (N,) bool, YuNet finds a face with a score of 0.6.
        boxes_xyxy_px: (N, 4) its box in the crop, 0 where there is none.
        points: name of the landmark model to (N, K, 2) pixels of the crop.
        pose_deg: (N, 3) pitch, yaw, roll from the 66 points.
        eye_opening: (N,) height over width of the eyes.
        mouth_opening: (N,) inner height over outer width of the mouth.
        dark_centres: (N, 2, 2) where the dark of each eye lies in its opening, in eye widths.
    """

    is_face: np.ndarray
    boxes_xyxy_px: Float64Array
    points: dict[str, Float64Array]
    pose_deg: Float64Array
    eye_opening: Float64Array
    mouth_opening: Float64Array
    dark_centres: Float64Array


@dataclass(frozen=True, slots=True, eq=False)
class Likeness:
    """How alike pairs of pictures are.

    Attributes:
        ssim: (N,) luma, Gaussian window of 11.
        distance: (N,) 1 - MS-SSIM over three scales: in place of LPIPS, which needs a backbone.
    """

    ssim: Float64Array
    distance: Float64Array


class FaceReader:
    """Detector and landmark models, each asked once about each picture.

    Args:
        teachers: the module that holds YuNet and the 66-point model.
        memo: keeps the answers.
        dlib: the 68-point model, the paper's; None where it is not installed.
    """

    def __init__(self, teachers: ModuleType, memo: Memo, dlib: DlibTools | None) -> None:
        self._teachers = teachers
        self._memo = memo
        self._dlib = dlib

    def read(self, crops: UInt8Array) -> Looks:
        """Look at (N, 160, 160, 3) uint8 RGB."""
        boxes = self._memo.rows("yunet box", self._boxes, crops).astype(np.float64)
        wide = self._memo.rows("landmarks 66", lambda x: landmarks66(x, self._teachers), crops)
        points = {"66 points": wide.astype(np.float64)}
        if self._dlib is not None:
            exact = self._memo.rows("landmarks 68", self._dlib.landmarks, crops)
            points["68 points, dlib"] = exact.astype(np.float64)
        eyes, mouth = openings(points["66 points"])
        pose = np.stack([head_pose_deg(face) for face in points["66 points"]])
        gaze = dark_centres(crops, points["66 points"])
        return Looks(boxes[:, 4] > 0, boxes[:, :4], points, pose, eyes, mouth, gaze)

    def _boxes(self, crops: UInt8Array) -> Float32Array:
        """(N, 5): YuNet's strongest box and 1, or zeros."""
        out = np.zeros((len(crops), 5), np.float32)
        for index, crop in enumerate(crops):
            edge = (_MARGIN_PX,) * 4
            padded = cv2.copyMakeBorder(crop, *edge, cv2.BORDER_REPLICATE)
            bgr = np.ascontiguousarray(padded[..., ::-1])
            found, _, _ = self._teachers.detect_yunet(bgr, _FACE_SCORE)
            if len(found):
                out[index, :4], out[index, 4] = found[0] - _MARGIN_PX, 1.0
        return out


def head_pose_deg(points: Float64Array) -> Float64Array:
    """Pitch, yaw and roll in degrees from (K, 2) landmarks in the 68-point order.

    The camera is made up (focal length: the crop's side), so differences mean more than values.
    """
    camera = np.array([[160.0, 0, 80], [0, 160, 80], [0, 0, 1]])
    seen = np.ascontiguousarray(points[list(_HEAD_POINTS)], np.float64)
    found, turn, _ = cv2.solvePnP(_HEAD, seen, camera, None, flags=cv2.SOLVEPNP_SQPNP)
    if not found:
        return np.full(3, np.nan)
    matrix, _ = cv2.Rodrigues(turn)
    return np.asarray(cv2.RQDecomp3x3(matrix)[0], np.float64)


def openings(points: Float64Array) -> tuple[Float64Array, Float64Array]:
    """How far eyes and mouth are open, as ratios, from (N, 66, 2) landmarks; two arrays (N,)."""

    def length(a: int, b: int) -> Float64Array:
        return np.asarray(np.linalg.norm(points[:, a] - points[:, b], axis=1), np.float64)

    eyes = [
        (length(first + 1, first + 5) + length(first + 2, first + 4))
        / np.maximum(2 * length(first, first + 3), 1e-6)
        for first in (36, 42)
    ]
    # 48..59 is the outer lip, 60..62 the inner upper and 63..65 the inner lower one.
    mouth = length(61, 64) / np.maximum(length(48, 54), 1e-6)
    return np.asarray((eyes[0] + eyes[1]) / 2, np.float64), np.asarray(mouth, np.float64)


def perceptual_distance(a: UInt8Array, b: UInt8Array) -> Likeness:
    """SSIM and MS-SSIM of pairs of pictures (N, H, W, 3) uint8 RGB."""
    ssim, distance = [], []
    for left, right in zip(a, b, strict=True):
        x, y = (cv2.cvtColor(v, cv2.COLOR_RGB2GRAY).astype(np.float32) for v in (left, right))
        product = 1.0
        for scale in range(_SCALES):
            whole, structure = _ssim_and_structure(x, y)
            if scale == 0:
                ssim.append(whole)
            # The brightness term counts at the coarsest scale only.
            value = whole if scale == _SCALES - 1 else structure
            product *= max(value, 0.0) ** float(_SCALE_WEIGHTS[scale])
            half = (x.shape[1] // 2, x.shape[0] // 2)
            x, y = (cv2.resize(v, half, interpolation=cv2.INTER_AREA) for v in (x, y))
        distance.append(1 - product)
    return Likeness(np.array(ssim, np.float64), np.array(distance, np.float64))


def _ssim_and_structure(x: Float32Array, y: Float32Array) -> tuple[float, float]:
    def blur(v: Float32Array) -> Float32Array:
        return np.asarray(cv2.GaussianBlur(v, (11, 11), 1.5), np.float32)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    structure = (2 * cov + c2) / (vx + vy + c2)
    whole = structure * (2 * mx * my + c1) / (mx * mx + my * my + c1)
    return float(whole.mean()), float(structure.mean())


def inner_psnr(a: UInt8Array, b: UInt8Array) -> Float64Array:
    """PSNR in dB of the face's rectangle on the aligned canvas, at most 99; (N,)."""
    error = a[:, _FACE_ROWS, _FACE_COLUMNS].astype(np.float64) - b[:, _FACE_ROWS, _FACE_COLUMNS]
    mse = np.maximum((error**2).mean((1, 2, 3)), 255.0**2 / 10**9.9)
    return np.asarray(10 * np.log10(255.0**2 / mse), np.float64)


def outer_psnr(a: UInt8Array, b: UInt8Array) -> Float64Array:
    """PSNR in dB of what no synthetic face may paint, at most 99; (N,)."""
    outside = face_mask(a.shape[1]) == 0
    error = a[:, outside].astype(np.float64) - b[:, outside]
    mse = np.maximum((error**2).mean((1, 2)), 255.0**2 / 10**9.9)
    return np.asarray(10 * np.log10(255.0**2 / mse), np.float64)
