"""What recovery would draw is judged by the face, not by the identity it is drawn for."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from engines.arrays import AnyArray, Float32Array
from engines.embedder import FaceEmbedder
from engines.generator import FaceGenerator
from engines.types import TensorSpec
from streamer.identity import IdentitySpace
from streamer.identity_prior import IdentityPrior
from streamer.reader import WantedReader
from streamer.recall import ReaderRecall
from tests.factories import CROP_PX, FakeEngine, generator_engine

PERSON, OTHER = np.eye(512, dtype=np.float32)[:2]
SEEN = np.full((1, CROP_PX, CROP_PX, 3), 128, np.uint8)


def _paints_half_of_what_is_asked(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    """A face as bright as half of the first value of the identity that is asked for."""
    crop, wanted = inputs["crop"], inputs["identity"]
    face = np.broadcast_to(0.5 * wanted[:, :1, None, None], crop.shape).astype(np.float32)
    return {"face": face, "alpha": np.ones_like(crop[:, :1])}


def _sees_brightness(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    (crops,) = inputs.values()
    found = np.zeros((len(crops), 512), np.float32)
    found[:, 0] = crops[:, 0, 56, 56]
    found[:, 2] = np.sqrt(1 - found[:, 0] ** 2)
    return {"y": found}


def _embedder() -> FaceEmbedder:
    inputs = (TensorSpec("x", (None, 3, 112, 112), "float32"),)
    outputs = (TensorSpec("y", (None, 512), "float32"),)
    return FaceEmbedder(FakeEngine(inputs, outputs, _sees_brightness))


class Keys:
    """Leads back to somebody who is a little like the person; notes what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []
        self.read: Float32Array | None = None

    def recall(
        self, identity_id: int, read: Float32Array, attempt: int, prior: IdentityPrior | None
    ) -> Float32Array:
        assert prior is None
        self.asked.append((identity_id, attempt))
        self.read = read
        return np.asarray(0.8 * PERSON + 0.6 * OTHER, np.float32)


def test_the_face_that_recovery_draws_is_compared_with_the_person() -> None:
    keys, space = Keys(), IdentitySpace(np.eye(512, dtype=np.float32))
    generator = FaceGenerator(generator_engine(_paints_half_of_what_is_asked))
    reader = WantedReader(_embedder(), None)
    recall = ReaderRecall(reader, keys, space, generator, _embedder())
    found = recall.back(7, 3, SEEN, PERSON)
    assert keys.asked == [(7, 3)]
    assert keys.read is not None
    assert keys.read[0] == pytest.approx(0.0, abs=0.01)  # the middle grey that was shown
    np.testing.assert_allclose(found.back[:2], [0.8, 0.6], atol=1e-6)
    # Found at 0.8, drawn at half of it.
    assert found.likeness == pytest.approx(0.4, abs=0.01)
    np.testing.assert_array_equal(recall.gain, np.ones(512))
