"""Crops that are brought back as from a log with identities and thumbnails."""

from __future__ import annotations

import cv2
import numpy as np

from benchmarks.assisted import assisted
from engines.face_mask import core_mask
from engines.generator import FaceGenerator
from tests.factories import CROP_PX, generator_engine, inverting


def test_brought_back_faces_have_the_coarse_parts_of_the_originals_inside_the_mask() -> None:
    rng = np.random.default_rng(2)
    originals, seen = (
        np.stack(
            [
                cv2.resize(rng.integers(40, 210, (7, 7, 3), np.uint8), (CROP_PX, CROP_PX))
                for _ in range(2)
            ]
        )
        for _ in range(2)
    )
    identities = np.eye(512, dtype=np.float32)[:2]
    generator = FaceGenerator(generator_engine(inverting))
    back = assisted(generator, seen, identities, originals)
    core = core_mask(CROP_PX) > 0
    assert np.abs(back[:, core].astype(int) - originals[:, core]).mean() < 6
    assert np.array_equal(back[:, 0], seen[:, 0])  # outside of the mask
