"""Of the faces that hide a person, files take one that looks like a face."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from engines.arrays import Float32Array, UInt8Array
from engines.generator import FaceGenerator
from streamer.aligner import similarities_from_landmarks
from streamer.color import crop_rgb
from streamer.config import load_config
from streamer.demo_sample import sample_frames
from streamer.disguise import Disguise
from streamer.face_looks import FaceLooks
from streamer.frames import ColorSpec
from streamer.key_choice import KeyTry, best_key, drawback
from streamer.models import Models, load_models
from tests.factories import CROP_PX, generator_engine
from tests.streamer.test_disguise import ORIGINAL, VIEWS, Keys, Likeness, paints_the_key


@pytest.fixture(scope="module")
def models() -> Iterator[Models]:
    found = load_models(load_config(None), threads=1)
    yield found
    found.close()


def _aligned(models: Models) -> UInt8Array:
    pixels = next(iter(sample_frames(0.1)))
    found = models.detector.detect_i420([pixels])[0]
    points = found.landmarks_px[int(np.argmax(found.scores))]
    (matrix,) = similarities_from_landmarks(points[None].astype(np.float64), CROP_PX)
    return crop_rgb(pixels, ColorSpec(), matrix, CROP_PX)


def test_a_face_with_spots_and_torn_features_looks_less_like_one(models: Models) -> None:
    face = _aligned(models)
    torn = face.copy()
    torn[70:92, 40:120] = np.roll(face[70:92, 40:120], 14, axis=1)  # the eyes are off
    spots = np.random.default_rng(3).random((20, 20)) < 0.3
    torn[np.kron(spots, np.ones((8, 8), bool)) & (face.mean(2) < 240)] = 215
    good, bad, none = FaceLooks(models.detector).of(np.stack([face, torn, np.full_like(face, 90)]))
    assert good > bad + 0.02
    assert good > 0.8
    assert none < 0.5


class _Looks:
    """Says how good the face of each key looks, and how often it was asked."""

    def __init__(self, *scores: float) -> None:
        self._scores = scores
        self.asked = 0

    def of(self, crops: UInt8Array) -> Float32Array:
        assert crops.shape == (1, CROP_PX, CROP_PX, 3)
        self.asked += 1
        # The brightness says the number of the key, see `paints_the_key`.
        key = round((float(crops[0, 80, 80, 0]) / 127.5 - 1 + 0.8) / 0.2)
        return np.array([self._scores[key]], np.float32)


def _attempt(likeness: Likeness, looks: _Looks, *, tries: int, looked_at: int = 3) -> int:
    disguise = Disguise(
        FaceGenerator(generator_engine(paints_the_key)), likeness.embedder, Keys(),
        most_alike=0.33, attempts=4, looks=looks, looked_at=looked_at,
    )  # fmt: skip
    return disguise.choose(7, ORIGINAL, VIEWS, tries=tries).attempt


def test_of_keys_that_hide_the_one_that_looks_best_is_taken() -> None:
    likeness = Likeness((0.0, 0.0), (0.1, 0.1), (0.3, 0.0), (0.0, 0.0))
    looks = _Looks(0.85, 0.95, 0.99, 0.99)
    assert _attempt(likeness, looks, tries=12) == 1
    assert looks.asked == 2  # a face like the person is not worth a look
    assert likeness.views == 4  # only the chosen one is drawn in another view


def test_a_key_that_gives_the_person_away_in_another_view_is_not_taken() -> None:
    likeness = Likeness((0.0, 0.0), (0.1, 0.3), (0.0, 0.0), (0.0, 0.0))
    assert _attempt(likeness, _Looks(0.85, 0.95, 0.9, 0.99), tries=12) == 2


def test_a_short_track_takes_the_first_that_hides() -> None:
    looks = _Looks(0.85, 0.95, 0.9, 0.99)
    assert _attempt(Likeness((0.0, 0.0), (0.0, 0.0)), looks, tries=7) == 0
    assert looks.asked == 0  # nor is anything looked at that is not compared
    assert _attempt(Likeness((0.0, 0.0), (0.0, 0.0)), looks, tries=8) == 1


def test_looks_are_weighed_against_being_like_the_other_faces() -> None:
    one, other = np.eye(2, 512, dtype=np.float32)
    alike = [KeyTry(0.0, face=one, looks=0.92), KeyTry(0.0, face=one, looks=0.92)]
    tries = [*alike, KeyTry(0.0, face=other, looks=0.62)]
    assert best_key(tries, enough=0.15, compared=3) == 2
    tries[0] = KeyTry(0.0, face=one, looks=0.99)
    assert best_key(tries, enough=0.15, compared=3) == 0
    assert drawback(tries[0], []) < drawback(tries[1], []) < 0
