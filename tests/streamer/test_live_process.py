"""Finding and drawing of a live job, with networks that say what the test wants."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from engines.arrays import Float32Array, UInt8Array
from engines.embedder import FaceEmbedder
from engines.generator import FaceGenerator
from engines.types import Detections, TensorSpec
from streamer.aligner import template_px
from streamer.blender import AnonymizedFrame
from streamer.camera_status import CameraStatus
from streamer.config import load_config
from streamer.frames import ColorSpec, Frame
from streamer.identity import IdentitySpace
from streamer.key_log import KeyLogReader, Note
from streamer.live_draw import LiveDraw
from streamer.live_items import Found, FrameToDraw, Stub, TracksEnded
from streamer.live_log import LiveLog
from streamer.live_process import LiveProcess
from streamer.live_source import Reconnected
from streamer.media_info import Notices
from streamer.renderer import RenderedFrame
from tests.factories import FakeEngine, generator_engine, inverting

PASSWORD = b"correct horse battery staple"
RATE_HZ = 25
INFO: Any = SimpleNamespace(
    size_hw=(360, 320), time_base=Fraction(1, RATE_HZ), name="camera", rotation_deg=0
)
_PIXELS: UInt8Array = np.random.default_rng(0).integers(60, 180, (540, 320), np.uint8)


class _Detector:
    """Finds one face, or nobody, as it is told."""

    def __init__(self) -> None:
        self.is_there = True
        self.settings = SimpleNamespace(keep_threshold=0.3, score_threshold=0.5)

    def detect_i420(self, frames: list[UInt8Array], **_: float) -> list[Detections]:
        if not self.is_there:
            return [Detections.empty() for _ in frames]
        points = (template_px(160) - 80) * 0.8 + np.array([150.0, 120.0])
        box = np.array([[110, 70, 190, 170]], np.float32)
        one = Detections(box, points[None].astype(np.float32), np.array([0.9], np.float32))
        return [one for _ in frames]

    def refine(self, luma: UInt8Array, found: Detections) -> Detections:
        return found


def _embed(feeds: dict[str, Any]) -> dict[str, Float32Array]:
    return {"y": np.eye(512, dtype=np.float32)[np.zeros(len(feeds["x"]), int)]}


class _Job:
    """Process and log as a live job has them, one frame a step."""

    def __init__(
        self, path: Path, rules: dict[str, Any] | None = None, *, most_alike: float = 0.33
    ) -> None:
        self.now_s = 100.0
        self.detector = _Detector()
        self.engine = generator_engine(inverting)
        embedder = FaceEmbedder(
            FakeEngine(
                (TensorSpec("x", (None, 3, 112, 112), "float32"),),
                (TensorSpec("y", (None, 512), "float32"),),
                _embed,  # type: ignore[arg-type] # a stand-in for a network
            )
        )
        models: Any = SimpleNamespace(
            detector=self.detector,
            embedder=embedder,
            generator=FaceGenerator(self.engine),
            space=IdentitySpace(np.eye(512, dtype=np.float32)),
            hashes=(),
        )
        config = load_config(
            Path("live-camera"),
            {
                "keylog": {"min_free_mib": 0, "seal": False, "assisted": True},
                "cover": {
                    "look_back_frames": 0,
                    "extend_after_s": 0.5,
                    "most_alike": most_alike,
                },
                "live": {"stub_after_s": 2.0, "stub_fps": 2.0},
                "rules": rules or {},
            },
        )
        notices, status = Notices(), CameraStatus("yard")
        self.log = LiveLog(config, PASSWORD, models, INFO, overwrite=False, notices=notices)
        self.log.begin(path, INFO, shift=0)
        self.process = LiveProcess(
            INFO, models, config, self.log,
            status=status, dropped=lambda: 0, now=lambda: self.now_s,
        )  # fmt: skip
        self.draw = LiveDraw(
            models,
            config,
            has_log=False,
            notices=notices,
            observer=status,
            age_s=lambda _: self.age_s,
        )
        self.pts = 0
        self.age_s = 0.0
        self.ended: list[int] = []
        self.filled: list[int] = []
        self.replaced: list[int] = []
        self.held: list[Found] | None = None
        self.notes: list[Note] = []
        self.stubs: list[tuple[float, AnonymizedFrame]] = []

    def show(self, seconds: float, *, is_there: bool) -> None:
        self.detector.is_there = is_there
        for _ in range(round(seconds * RATE_HZ)):
            frame = Frame(_PIXELS, ColorSpec(), self.pts, INFO.time_base, self.pts)
            for item in self.process.take([frame]):
                self._write(item)
            self.pts += 1
            self.now_s += 1 / RATE_HZ

    def generated(self, seconds: float) -> int:
        """Show the face, and say how often the generator was asked."""
        before = self.engine.calls
        self.show(seconds, is_there=True)
        return self.engine.calls - before

    def wait(self, seconds: float) -> None:
        """Nothing comes from the camera."""
        for _ in range(round(seconds * 10)):
            self.now_s += 0.1
            for item in self.process.idle():
                self._write(item)

    def lose(self) -> None:
        for item in self.process.take([Reconnected(1.0, 1)]):
            self._write(item)

    def draw_held(self) -> None:
        """Draw what was only found since `held` was made a list."""
        held, self.held = self.held or [], None
        for found in held:
            self._write(found)

    def _write(self, found: Found) -> None:
        if self.held is not None:
            self.held.append(found)
            return
        for item in self.draw.take(found):
            if isinstance(item, RenderedFrame):
                self.log.add(item.records, item.result.frame.pts)
                self.filled.append(len(item.result.replaced) + len(item.result.filled))
                self.replaced.append(len(item.result.replaced))
            elif isinstance(item, Note):
                self.notes.append(item)
            elif isinstance(item, Stub):
                self.stubs.append((self.now_s, item.frame))
            elif isinstance(item, TracksEnded):
                self.log.forget(item.track_ids)
                self.ended += item.track_ids


@pytest.mark.parametrize("away", ["leaves the picture", "connection lost"])
def test_who_comes_back_is_in_the_key_log_anew(tmp_path: Path, away: str) -> None:
    """The log forgets a track that has ended; the next one needs all that leads back again."""
    path = tmp_path / "yard.vskl"
    job = _Job(path)
    job.show(1.0, is_there=True)
    if away == "connection lost":
        job.lose()
    else:
        job.show(6.0, is_there=False)  # longer than tracks are remembered, less than identities
    assert job.ended == [1]
    job.show(1.0, is_there=True)
    job.log.close()
    with KeyLogReader.open(path, PASSWORD) as reader:
        starts = reader.tracks()
    assert sorted(starts) == [1, 2]
    last = [starts[track][-1] for track in (1, 2)]
    assert all(start.z is not None for start in last)
    keys = [start.key for start in last]
    # A person who left for a moment keeps the new face; after a lost connection nobody knows.
    assert None not in keys
    assert (len(set(keys)) == 1) == (away == "leaves the picture")


def test_a_made_picture_stands_in_while_the_camera_is_away(tmp_path: Path) -> None:
    job = _Job(tmp_path / "yard.vskl")
    job.show(1.0, is_there=True)
    last_s = (job.pts - 1) / RATE_HZ
    job.wait(1.5)
    assert job.stubs == []
    assert job.ended == [1]  # nobody knows who is there when the picture comes back
    job.wait(4.5)
    times = [frame.pts * frame.time_base for _, frame in job.stubs]
    assert 6 <= len(times) <= 9  # two a second, from the second second on, at steps of 0.1 s
    assert times == sorted(set(times))
    assert times[0] > last_s
    # Behind the present, so that the next real frame is later.
    assert all(
        time_s < wall_s - 100.0 for (wall_s, _), time_s in zip(job.stubs, times, strict=True)
    )
    shown = len(job.stubs)
    job.show(1.0, is_there=True)
    assert len(job.stubs) == shown


def test_each_time_a_known_face_begins_to_be_shown_is_noted(tmp_path: Path) -> None:
    """Everybody here looks like the guard; without the rule everybody is hidden."""
    picture = tmp_path / "guard.png"
    assert cv2.imwrite(str(picture), np.full((360, 320, 3), 120, np.uint8))
    job = _Job(tmp_path / "yard.vskl", {"keep_visible": [picture]})
    job.show(1.0, is_there=True)
    hidden = job.filled.index(0)
    assert 4 <= hidden <= 8  # five frames in a row, once the face can be read
    assert job.filled == [1] * hidden + [0] * (RATE_HZ - hidden)
    job.lose()
    job.show(1.0, is_there=True)
    assert [note.key for note in job.notes] == ["visible", "visible"]
    assert "track 1" in job.notes[0].text
    assert "taken for guard" in job.notes[0].text
    assert "track 2" in job.notes[1].text
    other = _Job(tmp_path / "other.vskl")
    other.show(1.0, is_there=True)
    assert other.filled == [1] * RATE_HZ
    assert other.notes == []


def test_drawing_that_comes_late_draws_what_was_known_when_it_was_planned(tmp_path: Path) -> None:
    """Finding has gone on by then: it has lost the camera, and who was there."""
    at_once, late = (_Job(tmp_path / f"{name}.vskl", most_alike=1.0) for name in ("one", "late"))
    late.held = []
    for job in (at_once, late):
        job.show(1.0, is_there=True)
        job.lose()
        job.show(0.4, is_there=False)
    late.draw_held()
    assert late.filled == at_once.filled
    assert late.replaced == at_once.replaced
    assert sum(late.replaced) > RATE_HZ / 2


def test_a_frame_that_was_planned_before_a_face_was_known_is_covered(tmp_path: Path) -> None:
    """Drawing must not know more than the key log knew: it gets what was planned and no more."""
    job = _Job(tmp_path / "yard.vskl", most_alike=1.0)
    job.show(1.0, is_there=True)
    job.held = []
    job.show(1 / RATE_HZ, is_there=True)
    (planned,) = (item for item in job.held if isinstance(item, FrameToDraw))
    assert len(planned.new_faces) == 1
    (known,) = job.draw.take(planned)
    (unknown,) = job.draw.take(replace(planned, new_faces={}))
    assert isinstance(known, RenderedFrame)
    assert isinstance(unknown, RenderedFrame)
    assert (len(known.result.replaced), len(known.result.filled)) == (1, 0)
    assert (len(unknown.result.replaced), len(unknown.result.filled)) == (0, 1)


def test_only_frames_that_are_late_beyond_the_look_back_show_a_face_again(tmp_path: Path) -> None:
    job = _Job(tmp_path / "yard.vskl", most_alike=1.0)
    job.show(1.0, is_there=True)
    assert job.generated(1.0) == RATE_HZ
    job.age_s = 0.2
    assert job.generated(1.0) < RATE_HZ / 2
    assert job.replaced[-RATE_HZ:] == [1] * RATE_HZ
    job.age_s = 0.05
    assert job.generated(1.0) == RATE_HZ
