"""Likeness guard: who looks like the person is refused, who surely does not rests from asking."""

from __future__ import annotations

import numpy as np

from engines.embedder import FaceEmbedder
from engines.types import TensorSpec
from streamer.likeness import LikenessGuard
from tests.factories import FakeEngine

ORIGINALS = {1: np.eye(512, dtype=np.float32)[0]}


class Answers:
    """An encoder whose answers have a set cosine with the original."""

    def __init__(self, *cosines: float) -> None:
        self._cosines = list(cosines)
        self.asked = 0
        engine = FakeEngine(
            (TensorSpec("x", (None, 3, 112, 112), "float32"),),
            (TensorSpec("y", (None, 512), "float32"),),
            lambda feeds: {"y": np.stack([self._next() for _ in feeds["x"]])},
        )
        self.guard = LikenessGuard(FaceEmbedder(engine), ORIGINALS, most_alike=0.4, rest_frames=5)

    def _next(self) -> np.ndarray[tuple[int], np.dtype[np.float32]]:
        cosine = self._cosines[min(self.asked, len(self._cosines) - 1)]
        self.asked += 1
        row = np.zeros(512, np.float32)
        row[:2] = cosine, (1 - cosine**2) ** 0.5
        return row

    def refuses(self, frame_index: int, *, track: int = 7) -> bool:
        crop = np.zeros((1, 160, 160, 3), np.uint8)
        mask = np.ones((1, 160, 160), np.float32)
        whose = [(track, 1)]
        return self.guard.rejects(crop, crop + 90, mask, whose, frame_index=frame_index)[0]


def test_a_clear_answer_holds_for_a_few_frames() -> None:
    answers = Answers(0.1)
    assert not any(answers.refuses(index) for index in range(5))
    assert answers.asked == 1
    assert not answers.refuses(5)
    assert answers.asked == 2


def test_it_does_not_hold_for_other_tracks_or_earlier_frames() -> None:
    answers = Answers(0.1)
    answers.refuses(10)
    answers.refuses(10, track=8)
    answers.refuses(9)
    assert answers.asked == 3


def test_answers_near_the_limit_hold_for_their_own_frame() -> None:
    answers = Answers(0.38, 0.41, 0.38)
    assert [answers.refuses(index) for index in range(3)] == [False, True, False]


def test_a_refused_face_is_asked_about_again() -> None:
    answers = Answers(0.9, 0.9, 0.1)
    assert [answers.refuses(index) for index in range(4)] == [True, True, False, False]
    assert answers.asked == 3


def test_only_the_last_tracks_are_remembered() -> None:
    answers = Answers(0.1)
    for track in range(600):
        answers.refuses(track * 10, track=track)
    assert len(answers.guard._clear_at) < 300
