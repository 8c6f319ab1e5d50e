"""Recognisers that judge anonymity: what they say, and from which distance they say "same".

Every judge is a Euclidean distance with a threshold, as in the paper (eq. 19): cosine judges are
compared by the distance of unit vectors. No loss of ours has seen any of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np
import onnxruntime as ort

from benchmarks.clips import BenchmarkError
from benchmarks.generator_judges import DlibTools
from benchmarks.judges_cache import Memo
from engines.arrays import Float32Array, Float64Array, UInt8Array
from engines.manifest import sha256_of
from training.crops import ARCFACE

__all__ = [
    "DLIB_TAU",
    "ImageJudge",
    "accepted_by_any",
    "distance_matrix",
    "dlib_image_judge",
    "edgeface_image_judge",
    "onnx_image_judge",
    "row_distances",
    "unit_rows",
]

# The threshold of the Face Recognition library, and of the paper.
DLIB_TAU: Final = 0.6
_BATCH: Final = 16


@dataclass(frozen=True, slots=True, eq=False)
class ImageJudge:
    """A recogniser of aligned crops.

    Attributes:
        name: for tables.
        embed: (N, 160, 160, 3) uint8 RGB to (N, D) float32; Euclidean distances count.
        thresholds: name to distance up to which two faces are one person; "FAR 1e-3" and
            "FAR 1e-4" after calibration, and the author's own where one is known.
        accepted_genuine: share of LFW's genuine pairs accepted at each threshold.
        accepted_strangers: the same of its impostor pairs.
    """

    name: str
    embed: Callable[[UInt8Array], Float32Array]
    thresholds: Mapping[str, float] = field(default_factory=dict)
    accepted_genuine: Mapping[str, float] = field(default_factory=dict)
    accepted_strangers: Mapping[str, float] = field(default_factory=dict)

    def remembered(self, memo: Memo) -> ImageJudge:
        """The same judge, asked once about each picture."""
        label = f"embed {self.name}"

        def embed(crops: UInt8Array) -> Float32Array:
            return np.asarray(memo.rows(label, self.embed, crops), np.float32)

        return replace(self, embed=embed)


def unit_rows(values: Float32Array) -> Float32Array:
    """Rows scaled to length 1."""
    norms = np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-12)
    return np.asarray(values / norms, np.float32)


def row_distances(a: Float32Array, b: Float32Array) -> Float64Array:
    """Euclidean distance of each row of `a` to the same row of `b`; (N,)."""
    return np.asarray(np.linalg.norm(a.astype(np.float64) - b, axis=1), np.float64)


def distance_matrix(a: Float32Array, b: Float32Array) -> Float64Array:
    """Euclidean distances of all rows of (N, D) to all rows of (M, D); (N, M)."""
    x, y = a.astype(np.float64), b.astype(np.float64)
    squares = (x * x).sum(1)[:, None] + (y * y).sum(1)[None] - 2 * x @ y.T
    return np.asarray(np.sqrt(np.maximum(squares, 0.0)), np.float64)


def edgeface_image_judge(teachers: ModuleType) -> ImageJudge:
    """EdgeFace-XXS: no training of ours uses it, unlike its larger brother EdgeFace-XS."""

    def embed(crops: UInt8Array) -> Float32Array:
        faces = np.ascontiguousarray(crops[:, ARCFACE, ARCFACE])
        return np.asarray(teachers.embed_edgeface_xxs(faces), np.float32)

    return ImageJudge("edgeface-xxs", embed)


def dlib_image_judge() -> ImageJudge | None:
    """Dlib's ResNet, the paper's first judge; None where it is not installed."""
    try:
        tools = DlibTools()
    except ImportError:
        return None
    return ImageJudge("dlib", tools.embed, {"author": DLIB_TAU})


def onnx_image_judge(path: Path) -> ImageJudge:
    """A recogniser of the user's: (N, 3, 112, 112) RGB in [-1, 1], ArcFace alignment.

    Raises:
        BenchmarkError: it cannot be loaded, or takes something else.
    """
    try:
        net: Any = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    except Exception as exc:  # ONNX Runtime's errors have no common base of their own
        raise BenchmarkError(f"cannot load the judge {path}: {exc}") from exc
    entry = net.get_inputs()[0]
    if list(entry.shape[1:]) != [3, 112, 112]:
        raise BenchmarkError(f"the judge {path} takes {entry.shape}, not (N, 3, 112, 112)")
    step = entry.shape[0] if isinstance(entry.shape[0], int) else _BATCH

    def embed(crops: UInt8Array) -> Float32Array:
        faces = crops[:, ARCFACE, ARCFACE].astype(np.float32).transpose(0, 3, 1, 2) / 127.5 - 1
        parts = [
            net.run(None, {entry.name: np.ascontiguousarray(faces[i : i + step])})[0]
            for i in range(0, len(faces), step)
        ]
        return unit_rows(np.concatenate(parts).reshape(len(faces), -1))

    return ImageJudge(f"{path.stem} {sha256_of(path)[:8]}", embed)


def accepted_by_any(
    distances: Mapping[str, Float64Array], judges: Sequence[ImageJudge], threshold: str
) -> Float64Array:
    """1.0 for each face that at least one judge accepts, otherwise 0.0; (N,).

    Args:
        distances: judge's name to (N,).
        judges: all of them.
        threshold: which of their thresholds counts.
    """
    verdicts = [distances[judge.name] <= judge.thresholds[threshold] for judge in judges]
    return np.asarray(np.any(verdicts, axis=0), np.float64)
