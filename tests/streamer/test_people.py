"""Known people, with an encoder that says what the test wants."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from engines.arrays import Float32Array
from engines.embedder import FaceEmbedder
from engines.errors import ConfigError, EngineRunError
from engines.types import TensorSpec
from streamer.config import CONFIGS_FOLDER, load_config
from streamer.config_rules import RulesConfig
from streamer.frames import Frame
from streamer.models import load_models
from streamer.people import PeopleRule, Person, Shown, enroll
from streamer.plan import FramePlan, PlannedFace
from tests.factories import CROP_PX, FakeEngine, make_frame, transform_at

GUARD = Person("guard", np.eye(512, dtype=np.float32)[0])


class _Stage:
    """Faces whose likeness to the guard is set; everything else about them is the same."""

    def __init__(self, *, shows_them: bool = True, cosine: float = 0.6) -> None:
        self.likeness: list[float] = []
        self.fails = False
        engine = FakeEngine(
            (TensorSpec("x", (None, 3, 112, 112), "float32"),),
            (TensorSpec("y", (None, 512), "float32"),),
            lambda feeds: {"y": self._embed(len(feeds["x"]))},
        )
        self.rule = PeopleRule(
            [GUARD], FaceEmbedder(engine), shows_them=shows_them, cosine=cosine,
            crop_size_px=CROP_PX,
        )  # fmt: skip
        self.frame: Frame = make_frame()

    def _embed(self, count: int) -> Float32Array:
        if self.fails:
            raise EngineRunError("no network today")
        rows = np.zeros((count, 512), np.float32)
        for row, alike in zip(rows, self.likeness, strict=True):
            row[0], row[1] = alike, np.sqrt(1 - alike**2)
        return rows

    def without_engine(self, *faces: PlannedFace) -> FramePlan:
        self.fails = True
        return faces

    def step(self, *faces: PlannedFace, likeness: list[float]) -> tuple[set[int], list[Shown]]:
        """Tracks that stay hidden, and who is newly shown."""
        self.likeness = likeness
        plan, shown = self.rule.apply(self.frame, faces)
        return {face.track_id for face in plan}, list(shown)


def _face(track_id: int, *, is_coasting: bool = False, is_filled: bool = False) -> PlannedFace:
    return PlannedFace(
        track_id, track_id, np.array([100, 80, 180, 180], np.float32),
        None if is_filled else transform_at((140, 130), 80),
        is_coasting, "fill" if is_filled else "replace",
    )  # fmt: skip


def test_a_known_face_is_shown_after_five_frames_and_that_is_told_once() -> None:
    stage = _Stage()
    told = []
    for number in range(8):
        hidden, shown = stage.step(_face(1), _face(2), likeness=[0.7, 0.5])
        assert hidden == ({1, 2} if number < 4 else {2})
        told += shown
    assert told == [Shown(1, "guard")]


def test_a_track_that_becomes_somebody_else_is_hidden_in_the_same_frame() -> None:
    stage = _Stage()
    for _ in range(6):
        stage.step(_face(1), likeness=[0.9])
    assert stage.step(_face(1), likeness=[0.59]) == ({1}, [])
    assert stage.step(_face(1), likeness=[0.9]) == ({1}, [])  # and earns it again


Doubt = Callable[[_Stage], FramePlan]


@pytest.mark.parametrize(
    "doubt",
    [
        lambda stage: (_face(1, is_coasting=True),),
        lambda stage: (_face(1, is_filled=True),),
        lambda stage: stage.without_engine(_face(1)),
    ],
    ids=["coasting", "without landmarks", "engine failed"],
)
@pytest.mark.parametrize("shows_them", [True, False])
def test_in_doubt_a_face_is_hidden(doubt: Doubt, shows_them: bool) -> None:
    alike = 0.9 if shows_them else -0.5
    stage = _Stage(shows_them=shows_them, cosine=0.6 if shows_them else 0.1)
    for _ in range(6):
        hidden, _ = stage.step(_face(1), likeness=[alike])
    assert hidden == set()
    faces = doubt(stage)
    sees = [face for face in faces if face.frame_from_crop is not None and not face.is_coasting]
    hidden, shown = stage.step(*faces, likeness=[alike] * len(sees))
    assert hidden == {1}
    assert shown == []


def test_only_hides_whoever_once_looked_like_one_of_them() -> None:
    stage = _Stage(shows_them=False, cosine=0.1)
    for number in range(7):
        hidden, _ = stage.step(_face(1), _face(2), likeness=[0.0, 0.12 if number == 1 else 0.0])
    assert hidden == {2}


def test_only_needs_to_be_asked_for_twice() -> None:
    with pytest.raises(ValueError, match="only_may_miss"):
        RulesConfig(only=(Path("thief.jpg"),))
    with pytest.raises(ValueError, match="exclude"):
        RulesConfig(only=(Path("a"),), keep_visible=(Path("b"),), only_may_miss=True)
    with pytest.raises(ValueError, match=r"0\.5"):
        RulesConfig(keep_visible=(Path("a"),), keep_visible_cosine=0.4)


def test_the_default_hides_everybody() -> None:
    assert RulesConfig().keep_visible == ()
    assert RulesConfig().only == ()


@pytest.mark.slow
def test_enrolled_people_are_told_apart(tmp_path: Path) -> None:
    models = load_models(load_config(None), threads=1)
    pictures = sorted((CONFIGS_FOLDER.parent / "streamer" / "sample").glob("*.jpg"))
    people = enroll(pictures, models.detector, models.embedder)
    alike = np.stack([one.embedding for one in people])
    assert [one.name for one in people] == [path.stem for path in pictures]
    assert (alike @ alike.T - np.eye(len(people)) < RulesConfig().keep_visible_cosine).all()
    nobody = tmp_path / "nobody.png"
    assert cv2.imwrite(str(nobody), np.full((200, 200, 3), 90, np.uint8))
    with pytest.raises(ConfigError, match="0 were found"):
        enroll([nobody], models.detector, models.embedder)
    models.close()
