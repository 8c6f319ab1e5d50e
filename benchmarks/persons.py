"""Recognisers that say whether two faces are one person; no training loss saw them."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.clips import Teachers
from engines.arrays import Float32Array, UInt8Array

__all__ = ["PersonJudge", "dlib_judge", "edgeface_judge"]

# The distance dlib's author gives for this network; 99.4 % accuracy on LFW.
DLIB_DISTANCE: Final = 0.6

# Two frames (H, W, 3) uint8 BGR, a box (4,) and landmarks (5, 2) in the first: similarity.
Similarity = Callable[[UInt8Array, UInt8Array, Float32Array, Float32Array], float]


@dataclass(frozen=True, slots=True)
class PersonJudge:
    """A recogniser with its threshold.

    Attributes:
        name: for reports.
        similarity: of the faces at the same place of two frames; higher is more alike.
        threshold: similarity from which they are accepted as one person.
    """

    name: str
    similarity: Similarity
    threshold: float

    def accepts(self, similarity: float) -> bool:
        """Whether the similarity is that of one person."""
        return similarity >= self.threshold


def edgeface_judge(teachers: Teachers) -> PersonJudge:
    """EdgeFace-XXS at a false accept rate of 1e-3; both faces are aligned by the first's points."""

    def similarity(
        a_bgr: UInt8Array, b_bgr: UInt8Array, box: Float32Array, landmarks: Float32Array
    ) -> float:
        points = landmarks[None]
        crops = [teachers.align(np.ascontiguousarray(x[..., ::-1]), points) for x in (a_bgr, b_bgr)]
        embeddings = teachers.embed(np.concatenate(crops))
        return float(embeddings[0] @ embeddings[1])

    return PersonJudge("edgeface-xxs", similarity, teachers.same_person_cosine)


def dlib_judge() -> PersonJudge | None:
    """Dlib's ResNet if it is installed with its models, otherwise None."""
    spec = importlib.util.find_spec("face_recognition_models")
    if spec is None or importlib.util.find_spec("dlib") is None:
        return None
    import dlib  # optional: judges only, never the product

    locations = spec.submodule_search_locations
    folder = Path(next(iter(locations or [""]))) / "models"
    predict: Any = dlib.shape_predictor(str(folder / "shape_predictor_5_face_landmarks.dat"))
    net: Any = dlib.face_recognition_model_v1(
        str(folder / "dlib_face_recognition_resnet_model_v1.dat")
    )

    def similarity(
        a_bgr: UInt8Array, b_bgr: UInt8Array, box: Float32Array, landmarks: Float32Array
    ) -> float:
        a, b = (np.ascontiguousarray(x[..., ::-1]) for x in (a_bgr, b_bgr))
        left, top, right, bottom = (round(float(value)) for value in box)
        shape = predict(a, dlib.rectangle(left, top, right, bottom))
        chips = [dlib.get_face_chip(x, shape, size=150, padding=0.25) for x in (a, b)]
        first, second = (np.array(net.compute_face_descriptor(chip)) for chip in chips)
        return -float(np.linalg.norm(first - second))

    return PersonJudge("dlib", similarity, -DLIB_DISTANCE)
