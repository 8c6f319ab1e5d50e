"""Faces that are chosen and drawn so that recovery by the password finds the person."""

from __future__ import annotations

import numpy as np
import pytest

from engines.arrays import Float32Array, UInt8Array
from engines.generator import FaceGenerator
from streamer.config import AppConfig
from streamer.disguise import Disguise
from streamer.identity import IdentitySpace
from streamer.job_options import asks_recall
from streamer.key_choice import KeyChoice, KeyTry, best_key, ordinariness
from streamer.recall import Recalled
from tests.factories import CROP_PX, generator_engine
from tests.streamer.test_disguise import ORIGINAL, VIEWS, Keys, Likeness, paints_the_key


class Recaller:
    """Says how well each key leads back, and which were asked about."""

    space = IdentitySpace(np.eye(512, dtype=np.float32))
    gain = np.ones(512)

    def __init__(self, *recalls: float) -> None:
        self._recalls = recalls
        self.asked: list[int] = []

    def back(
        self, identity_id: int, attempt: int, seen: UInt8Array, original: Float32Array
    ) -> Recalled:
        assert identity_id == 7
        assert seen.shape == (1, CROP_PX, CROP_PX, 3)
        self.asked.append(attempt)
        found, cosine = np.zeros(512, np.float32), self._recalls[attempt]
        found[0], found[9] = cosine, (1 - cosine**2) ** 0.5
        return Recalled(found, float(found @ original))


def _recalled(
    likeness: Likeness, recall: Recaller, *, compared: int, tries: int = 16, steps: int = 0
) -> KeyChoice:
    generator = FaceGenerator(generator_engine(paints_the_key))
    disguise = Disguise(
        generator, likeness.embedder, Keys(), most_alike=0.33, attempts=4,
        recall=recall, compared=compared, steps=steps,
    )  # fmt: skip
    return disguise.choose(7, ORIGINAL, VIEWS, tries=tries)


def test_of_keys_that_hide_the_one_that_leads_back_best_is_taken() -> None:
    likeness = Likeness((0.05, 0.1), (0.4, 0.0), (0.1, 0.0), (0.0, 0.0))
    recall = Recaller(0.5, 0.9, 0.7, 0.99)
    assert _recalled(likeness, recall, compared=3).attempt == 2
    assert recall.asked == [0, 2]  # of a face like the person nobody asks further


def test_a_track_that_is_soon_gone_is_not_worth_a_comparison() -> None:
    likeness = Likeness((0.05, 0.1), (0.0, 0.0))
    assert _recalled(likeness, Recaller(0.5, 0.9), compared=2, tries=3).attempt == 0
    assert _recalled(likeness, Recaller(0.5, 0.9), compared=2, tries=5).attempt == 1


def test_more_keys_are_tried_when_none_of_the_compared_ones_hides() -> None:
    likeness = Likeness((0.4, 0.0), (0.3, 0.0), (0.1, 0.0), (0.0, 0.0))
    recall = Recaller(0.9, 0.9, 0.2, 0.99)
    assert _recalled(likeness, recall, compared=2).attempt == 2


def test_what_is_drawn_stays_when_nothing_is_read_better() -> None:
    recall = Recaller(0.5)
    choice = _recalled(Likeness((0.0, 0.0)), recall, compared=1, steps=3)
    assert choice.drawn is None
    assert recall.asked == [0] * 4


def test_steps_are_bounded_by_what_recovery_is_worth() -> None:
    recall = Recaller(0.5, 0.4)
    _recalled(Likeness((0.0, 0.0), (0.0, 0.0)), recall, compared=2, tries=5, steps=10)
    assert recall.asked == [0, 1, 0, 0, 0]


class Seen:
    """A face that is read as the identity it was drawn for, but for an error of its own."""

    space = IdentitySpace(np.eye(512, dtype=np.float32))
    gain = np.ones(512)

    def __init__(self) -> None:
        self.wanted = ORIGINAL
        self._error = np.eye(512, dtype=np.float32)[5] * 0.8

    def propose(self, identity_id: int, original: Float32Array, attempt: int) -> Float32Array:
        del identity_id, attempt
        self.wanted = original
        return np.zeros(512, np.float32)

    def back(
        self, identity_id: int, attempt: int, seen: UInt8Array, original: Float32Array
    ) -> Recalled:
        del identity_id, attempt, seen
        found = self.wanted + self._error
        back = np.asarray(found / np.linalg.norm(found), np.float32)
        return Recalled(back, float(back @ original))


def test_what_is_drawn_makes_up_for_what_the_reader_gets_wrong() -> None:
    seen = Seen()
    generator = FaceGenerator(generator_engine(paints_the_key))
    disguise = Disguise(
        generator, Likeness((0.0, 0.0)).embedder, seen, most_alike=0.33, attempts=4,
        recall=seen, compared=1, steps=12,
    )  # fmt: skip
    choice = disguise.choose(7, ORIGINAL, VIEWS, tries=99)
    assert choice.drawn is not None
    assert np.linalg.norm(choice.drawn) == pytest.approx(1.0, abs=1e-5)
    seen.propose(7, ORIGINAL, 0)
    before = seen.back(7, 0, VIEWS, ORIGINAL).likeness
    seen.propose(7, choice.drawn, 0)
    after = seen.back(7, 0, VIEWS, ORIGINAL).likeness
    assert before < 0.8
    assert after > 0.98


def test_hiding_comes_before_leading_back() -> None:
    tries = [KeyTry(0.3, 0.9), KeyTry(0.1, 0.2), KeyTry(0.0, 0.1)]
    assert best_key(tries, enough=0.15, compared=3) == 1
    assert best_key(tries, enough=-1.0, compared=3) == 2


def test_of_faces_that_are_read_alike_the_least_ordinary_is_taken() -> None:
    faces = np.eye(3, 512, dtype=np.float32)
    faces[1] = faces[0]  # two keys give the same face
    tries = [KeyTry(0.0, 0.6, face=face) for face in faces]
    assert best_key(tries, enough=0.15, compared=3) == 2
    tries[0] = KeyTry(0.0, 0.6 + 0.9, face=faces[0])
    assert best_key(tries, enough=0.15, compared=3) == 0
    assert ordinariness(faces[0], [tries[1]]) > ordinariness(faces[0], [tries[1], tries[2]]) > 0
    assert ordinariness(faces[0], []) == ordinariness(None, tries) == 0.0


TRANSFORMS_ONLY = {"seal": False, "assisted": False}


@pytest.mark.parametrize(
    ("settings", "is_asked"),
    [
        ({"keylog": TRANSFORMS_ONLY}, True),
        ({}, False),
        ({"keylog": {"seal": False}}, False),
        ({"keylog": {"assisted": False}}, False),
        ({"keylog": {**TRANSFORMS_ONLY, "irreversible": True}}, False),
        ({"keylog": TRANSFORMS_ONLY, "identity": {"scope": "recording"}}, False),
        ({"keylog": TRANSFORMS_ONLY, "identity": {"rotation": "reference"}}, False),
        ({"keylog": TRANSFORMS_ONLY, "cover": {"key_attempts": 1}}, False),
        ({"keylog": TRANSFORMS_ONLY, "cover": {"recall_attempts": 1, "recall_steps": 0}}, False),
    ],
)
def test_reading_counts_only_where_recovery_depends_on_it(
    settings: dict[str, object], is_asked: bool
) -> None:
    assert asks_recall(AppConfig.model_validate(settings)) is is_asked
