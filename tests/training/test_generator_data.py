from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("torch", reason="the extra `train` is not installed")

from training.generator_data import face_weights, turned


def _heads(*asides: float) -> np.ndarray:
    """Landmarks of heads whose nose lies so far aside, in distances of the eyes."""
    marks = np.zeros((len(asides), 66, 3), np.float32)
    marks[:, 36, 0], marks[:, 45, 0] = 50.0, 110.0
    marks[:, [36, 45], 1] = 70.0
    marks[:, 30, 0] = 80.0 + 60.0 * np.array(asides)
    marks[:, 30, 1] = 100.0
    return marks


def test_turned_heads_are_known_by_the_nose() -> None:
    found = turned(_heads(0.0, 0.04, 0.175, -0.175, 0.6))
    np.testing.assert_allclose(found, [0.0, 0.0, 0.5, 0.5, 1.0], atol=1e-5)


def test_turned_whole_and_sharp_faces_are_drawn_more_often() -> None:
    rows = [
        {"fill160": "1.0", "scale": "0.5"},
        {"fill160": "1.0", "scale": "0.5"},
        {"fill160": "0.5", "scale": "0.5"},
        {"fill160": "1.0", "scale": "2.0"},
    ]
    weights = face_weights(rows, np.array([0.0, 1.0, 0.0, 0.0], np.float32))
    assert weights.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(weights / weights[0], [1.0, 3.0, 0.4, 0.5], rtol=1e-5)
