from __future__ import annotations

import numpy as np

from streamer.aligner import similarity_from_landmarks
from streamer.mask_cover import hidden_ratios
from tests.streamer.scenes import face_box, face_points


def test_a_face_is_hidden_by_its_own_mask_and_not_by_another() -> None:
    box = face_box(200, 200, 100)[None].astype(np.float64)
    own = similarity_from_landmarks(face_points(200, 200, 100), 160)
    beside = similarity_from_landmarks(face_points(280, 200, 100), 160)
    half = similarity_from_landmarks(face_points(235, 200, 100), 160)
    for transform, low, high in ((own, 0.98, 1.0), (beside, 0.0, 0.3), (half, 0.5, 0.95)):
        ratio = float(hidden_ratios(transform[None], box, 160)[0])
        assert low <= ratio <= high


def test_without_a_transform_nothing_is_hidden() -> None:
    ratios = hidden_ratios(np.full((2, 2, 3), np.nan), np.zeros((2, 4)), 160)
    np.testing.assert_array_equal(ratios, 0)
    assert hidden_ratios(np.zeros((0, 2, 3)), np.zeros((0, 4)), 160).shape == (0,)
