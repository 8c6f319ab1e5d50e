"""Known people: whose face stays visible, or whose is the only one that is hidden.

Both decide frame by frame from what the encoder reads in this very frame, and in any doubt the
face is hidden: no landmarks, an engine that fails, too few frames, a track that was somebody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from engines.arrays import Float32Array
from engines.detector import FaceDetector
from engines.embedder import FaceEmbedder
from engines.errors import ConfigError, EngineError
from streamer.aligner import CANVAS_PX, encoder_views, similarities_from_landmarks
from streamer.color import crop_rgb
from streamer.config_rules import RulesConfig
from streamer.face_finder import input_side_px
from streamer.frames import ColorSpec, Frame
from streamer.identity import identify
from streamer.plan import FramePlan, PlannedFace

__all__ = ["PeopleRule", "Person", "Shown", "enroll", "people_rule"]

# A face must be recognised in so many frames in a row before it is shown.
_FRAMES_IN_A_ROW: Final = 5
_MOST_TRACKS: Final = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """Somebody enrolled.

    Attributes:
        name: stem of the picture's file name.
        embedding: (D,) float32, norm 1.
    """

    name: str
    embedding: Float32Array


@dataclass(frozen=True, slots=True)
class Shown:
    """A face that is left as it is from this frame on.

    Attributes:
        track_id: its track.
        who: the person it was taken for, empty when it was taken for nobody.
    """

    track_id: int
    who: str


@dataclass(slots=True)
class _Seen:
    in_a_row: int = 0
    is_shown: bool = False
    was_hidden_one: bool = False


class PeopleRule:
    """Takes the faces that may stay visible out of the plans. Not thread-safe.

    Args:
        people: who is enrolled.
        embedder: E_id.
        shows_them: True: they stay visible. False: they are the only ones who are hidden.
        cosine: at least this much alike to be shown (True), or at most this much (False).
        crop_size_px: side of the crops that the plans' transforms are for.
    """

    def __init__(
        self,
        people: Sequence[Person],
        embedder: FaceEmbedder,
        *,
        shows_them: bool,
        cosine: float,
        crop_size_px: int,
    ) -> None:
        self._people = tuple(people)
        self._embedder = embedder
        self._shows_them, self._cosine = shows_them, cosine
        ratio = crop_size_px / CANVAS_PX
        self._canvas_scale = np.array([ratio, ratio, 1.0])
        self._seen: dict[int, _Seen] = {}

    def apply(self, frame: Frame, plan: FramePlan) -> tuple[FramePlan, tuple[Shown, ...]]:
        """The plan without the faces that may be seen, and which of them are newly shown.

        Args:
            frame: the frame that the plan is for.
            plan: all its faces.
        """
        certain = [face for face in plan if face.frame_from_crop is not None]
        certain = [face for face in certain if not face.is_coasting]
        found = self._embeddings(frame, certain)
        shown: list[Shown] = []
        visible: set[int] = set()
        for face in plan:
            embedding = found.get(face.track_id)
            state = self._seen.setdefault(face.track_id, _Seen())
            who = None if embedding is None else self._verdict(embedding, state)
            state.in_a_row = 0 if who is None else state.in_a_row + 1
            is_shown = who is not None and state.in_a_row >= _FRAMES_IN_A_ROW
            if is_shown and not state.is_shown and who is not None:
                shown.append(Shown(face.track_id, who))
            state.is_shown = is_shown
            if is_shown:
                visible.add(face.track_id)
        self._forget()
        return tuple(face for face in plan if face.track_id not in visible), tuple(shown)

    def _verdict(self, embedding: Float32Array, state: _Seen) -> str | None:
        """Who may be seen there (empty: nobody in particular), None when it must be hidden."""
        alike = [float(embedding @ person.embedding) for person in self._people]
        best = int(np.argmax(alike))
        if self._shows_them:
            return self._people[best].name if alike[best] >= self._cosine else None
        # Whoever was taken for one of them once stays hidden as long as the track lives.
        state.was_hidden_one = state.was_hidden_one or alike[best] > self._cosine
        return None if state.was_hidden_one else ""

    def _embeddings(self, frame: Frame, faces: Sequence[PlannedFace]) -> dict[int, Float32Array]:
        crops = [
            crop_rgb(frame.pixels, frame.color, matrix * self._canvas_scale, CANVAS_PX)
            for face in faces
            if (matrix := face.frame_from_crop) is not None
        ]
        if not crops:
            return {}
        try:
            embeddings = self._embedder.embed(encoder_views(np.stack(crops)))
        except EngineError:
            return {}  # nobody is recognised, so everybody is hidden
        return {face.track_id: row for face, row in zip(faces, embeddings, strict=True)}

    def _forget(self) -> None:
        while len(self._seen) > _MOST_TRACKS:
            del self._seen[next(iter(self._seen))]


def enroll(
    pictures: Sequence[Path], detector: FaceDetector, embedder: FaceEmbedder
) -> tuple[Person, ...]:
    """Read reference pictures; each must show exactly one face.

    Raises:
        ConfigError: a picture cannot be read, or shows no face or several.
    """
    return tuple(_enroll_one(path, detector, embedder) for path in pictures)


def _enroll_one(path: Path, detector: FaceDetector, embedder: FaceEmbedder) -> Person:
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise ConfigError(f"reference picture {path} cannot be read")
    height, width = (side - side % 2 for side in picture.shape[:2])
    pixels = np.asarray(cv2.cvtColor(picture[:height, :width], cv2.COLOR_BGR2YUV_I420))
    found = detector.detect_i420(
        [pixels],
        threshold=detector.settings.score_threshold,
        long_side_px=input_side_px((height, width), 0),
    )[0]
    if len(found.scores) != 1:
        raise ConfigError(
            f"reference picture {path} must show one face, but {len(found.scores)} were found"
        )
    transform = similarities_from_landmarks(found.landmarks_px[:1], CANVAS_PX).reshape(2, 3)
    if not np.isfinite(transform).all():
        raise ConfigError(f"reference picture {path}: the face cannot be aligned")
    # OpenCV makes limited-range BT.601 of it.
    canvas = crop_rgb(pixels, ColorSpec(matrix=6), transform, CANVAS_PX)
    return Person(path.stem, identify(embedder, encoder_views(canvas[None])))


def people_rule(
    rules: RulesConfig, detector: FaceDetector, embedder: FaceEmbedder, *, crop_size_px: int
) -> PeopleRule | None:
    """What a configuration asks for, None when everybody is hidden.

    Args:
        rules: of the camera.
        detector: finds the faces in the reference pictures.
        embedder: E_id.
        crop_size_px: side of the crops that the plans' transforms are for.

    Raises:
        ConfigError: see `enroll`.
    """
    if rules.keep_visible:
        return PeopleRule(
            enroll(rules.keep_visible, detector, embedder), embedder,
            shows_them=True, cosine=rules.keep_visible_cosine, crop_size_px=crop_size_px,
        )  # fmt: skip
    if rules.only:
        return PeopleRule(
            enroll(rules.only, detector, embedder), embedder,
            shows_them=False, cosine=rules.only_cosine, crop_size_px=crop_size_px,
        )  # fmt: skip
    return None
