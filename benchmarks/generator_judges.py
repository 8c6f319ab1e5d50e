"""Judges of the generator that no loss has seen, and the measures of a picture.

EdgeFace-XXS and dlib recognise, YuNet detects, dlib's 68 and the 66-point model give landmarks.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.arrays import Float32Array, UInt8Array
from training.crops import ARCFACE

__all__ = ["DlibTools", "Judge", "detected", "judges", "landmarks66", "psnr_ssim_mae"]

_BOX_LTRB_PX: Final = (34, 44, 126, 142)  # a detector's box of an aligned face
_WINDOW_XYXY_PX: Final = (30, 26, 130, 152)

Bools = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Judge:
    """A recogniser with its decision.

    Attributes:
        name: For the report.
        embed: Crops (N, 160, 160, 3) uint8 RGB to (N, D) float32.
        same: Rows of two embedding arrays to (N,) "the same person".
        nearest: (N, D) and (M, D) to (N,) the most similar row of the second.
    """

    name: str
    embed: Callable[[UInt8Array], Float32Array]
    same: Callable[[Float32Array, Float32Array], Bools]
    nearest: Callable[[Float32Array, Float32Array], NDArray[np.int64]]


class DlibTools:
    """dlib's recogniser and its 68 landmarks, found through ``face_recognition_models``.

    Raises:
        ImportError: One of the two packages is missing.
    """

    def __init__(self) -> None:
        self._dlib: Any = importlib.import_module("dlib")
        # Found, not imported: the package's own code needs pkg_resources, which is gone.
        spec = importlib.util.find_spec("face_recognition_models")
        if spec is None or spec.origin is None:
            raise ImportError("face_recognition_models is not installed")
        weights = Path(spec.origin).parent / "models"
        self._points = self._dlib.shape_predictor(
            str(weights / "shape_predictor_68_face_landmarks.dat")
        )
        path = weights / "dlib_face_recognition_resnet_model_v1.dat"
        self._describe: Callable[[UInt8Array], Any]
        if importlib.util.find_spec("onnx") is None:
            net = self._dlib.face_recognition_model_v1(str(path))
            self._describe = lambda chips: net.compute_face_descriptor(list(chips))
        else:
            # The same numbers to six digits, fifteen times as fast.
            self._describe = (
                importlib.import_module("benchmarks.judges_dlib").DlibNetwork(path).embed
            )

    def landmarks(self, crops: UInt8Array) -> Float32Array:
        """(N, 160, 160, 3) to (N, 68, 2) pixels of the crop."""
        shapes = [self._shape(np.ascontiguousarray(crop)).parts() for crop in crops]
        return np.array([[(p.x / 2, p.y / 2) for p in points] for points in shapes], np.float32)

    def embed(self, crops: UInt8Array) -> Float32Array:
        """(N, 160, 160, 3) to (N, 128)."""
        if not len(crops):
            return np.zeros((0, 128), np.float32)
        chips = []
        for crop in crops:
            large = _twice(np.ascontiguousarray(crop))
            shape = self._points(large, self._rectangle())
            chips.append(self._dlib.get_face_chip(large, shape, size=150, padding=0.25))
        return np.asarray(self._describe(np.stack(chips)), np.float32)

    def _shape(self, crop: UInt8Array) -> Any:  # noqa: ANN401 - dlib has no types
        return self._points(_twice(crop), self._rectangle())

    def _rectangle(self) -> Any:  # noqa: ANN401 - dlib has no types
        return self._dlib.rectangle(*(2 * v for v in _BOX_LTRB_PX))


def _twice(crop: UInt8Array) -> UInt8Array:
    """At double size: dlib gives whole pixels."""
    return np.asarray(cv2.resize(crop, None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC), np.uint8)


def judges(teachers: ModuleType) -> tuple[list[Judge], DlibTools | None]:
    """The judges at hand, EdgeFace-XXS first; dlib only where it is installed."""
    threshold = float(teachers.THRESHOLDS["edgeface_xxs"][0])

    def embed(crops: UInt8Array) -> Float32Array:
        faces = np.ascontiguousarray(crops[:, ARCFACE, ARCFACE])
        return np.asarray(teachers.embed_edgeface_xxs(faces), np.float32)

    found = [
        Judge(
            f"edgeface_xxs (cosine >= {threshold})",
            embed,
            lambda a, b: (a * b).sum(1) >= threshold,
            lambda a, b: (a @ b.T).argmax(1),
        )
    ]
    try:
        tools = DlibTools()
    except ImportError:
        return found, None
    found.append(
        Judge(
            "dlib (distance <= 0.6)",
            tools.embed,
            lambda a, b: np.linalg.norm(a - b, axis=1) <= 0.6,
            lambda a, b: (((a[:, None] - b[None]) ** 2).sum(2)).argmin(1),
        )
    )
    return found, tools


def detected(crops: UInt8Array, teachers: ModuleType) -> float:
    """Share of the crops in which YuNet finds a face, each padded to a picture of 256 pixels."""
    hits = 0
    for crop in crops:
        padded = cv2.copyMakeBorder(crop, 48, 48, 48, 48, cv2.BORDER_REPLICATE)
        hits += len(teachers.detect_yunet(np.ascontiguousarray(padded[:, :, ::-1]))[2]) > 0
    return hits / max(1, len(crops))


def landmarks66(crops: UInt8Array, teachers: ModuleType) -> Float32Array:
    """The 66-point model's landmarks, (N, 66, 2) pixels of the crop."""
    box = np.array([_WINDOW_XYXY_PX], np.float32)
    points = [
        teachers.landmarks66(np.ascontiguousarray(crop[:, :, ::-1]), box)[0][0] for crop in crops
    ]
    return np.asarray(points, np.float32)


def psnr_ssim_mae(found: UInt8Array, wanted: UInt8Array) -> dict[str, float]:
    """Mean PSNR (dB), SSIM (luma, Gaussian window 11) and MAE (of a range of 1)."""
    difference = found.astype(np.float32) - wanted.astype(np.float32)
    mse = np.maximum((difference**2).mean((1, 2, 3)), 1e-6)
    ssim = [_ssim(a, b) for a, b in zip(found, wanted, strict=True)]
    return {
        "psnr_db": float((10 * np.log10(255.0**2 / mse)).mean()),
        "ssim": float(np.mean(ssim)),
        "mae": float(np.abs(difference).mean() / 255),
    }


def _ssim(a: UInt8Array, b: UInt8Array) -> float:
    x, y = (cv2.cvtColor(v, cv2.COLOR_RGB2GRAY).astype(np.float32) for v in (a, b))

    def blur(v: Float32Array) -> Float32Array:
        return np.asarray(cv2.GaussianBlur(v, (11, 11), 1.5), np.float32)

    mx, my = blur(x), blur(y)
    vx, vy, cov = blur(x * x) - mx * mx, blur(y * y) - my * my, blur(x * y) - mx * my
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    top = (2 * mx * my + c1) * (2 * cov + c2)
    return float((top / ((mx * mx + my * my + c1) * (vx + vy + c2))).mean())
