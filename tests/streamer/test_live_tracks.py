from __future__ import annotations

from fractions import Fraction
from unittest.mock import MagicMock

import numpy as np
import pytest

from engines.arrays import Float32Array, UInt8Array
from engines.embedder import FaceEmbedder
from engines.generator import FaceGenerator
from engines.types import Detections, TensorSpec
from streamer.aligner import template_px
from streamer.analysis import AnalysisOptions
from streamer.disguise import Disguise
from streamer.frames import ColorSpec, Frame
from streamer.key_choice import KeyChoice
from streamer.live_tracks import LiveTracks, PlannedFrame
from streamer.look_back import LookBackOptions
from streamer.reassociation import ReassociationOptions
from streamer.scene_cut import SceneCutOptions
from streamer.tracker import TrackerOptions
from tests.factories import FakeEngine, generator_engine, inverting

DEPTH = 3
OPTIONS = AnalysisOptions(
    TrackerOptions(), LookBackOptions(), SceneCutOptions(), ReassociationOptions(), 1, None
)


def _embedder() -> FaceEmbedder:
    engine = FakeEngine(
        (TensorSpec("x", (None, 3, 112, 112), "float32"),),
        (TensorSpec("y", (None, 512), "float32"),),
        lambda feeds: {"y": np.eye(512, dtype=np.float32)[np.zeros(len(feeds["x"]), int)]},
    )
    return FaceEmbedder(engine)


_PIXELS: UInt8Array = np.random.default_rng(0).integers(60, 180, (360, 320), np.uint8)


def _found(x: float) -> Detections:
    points = (template_px(160) - 80) * 0.8 + np.array([x, 120.0])
    box = np.array([[x - 40, 70, x + 40, 170]], np.float32)
    return Detections(box, points[None].astype(np.float32), np.array([0.9], np.float32))


def _run(tracks: LiveTracks, seen: list[bool], *, start: int = 0) -> list[PlannedFrame]:
    out = []
    for step, is_seen in enumerate(seen, start=start):
        frame = Frame(_PIXELS, ColorSpec(), step, Fraction(1, 25), step)
        out += tracks.push(frame, _found(150.0) if is_seen else Detections.empty())
    return out


def test_a_frame_does_not_wait_longer_than_the_limit() -> None:
    tracks = LiveTracks(OPTIONS, _embedder(), depth_frames=DEPTH, depth_s=0.5)
    out = []
    for step in range(4):  # as after drops: 0.6 s between frames
        frame = Frame(_PIXELS, ColorSpec(), 15 * step, Fraction(1, 25), step)
        found = _found(150.0) if step >= 2 else Detections.empty()
        out += tracks.push(frame, found)
    assert [planned.frame.index for planned in out] == [0, 1, 2]
    # Each still knew what came after it: the face was seen first in frame 2.
    assert [len(planned.plan) for planned in out] == [0, 1, 1]


def test_frames_leave_in_order_and_later() -> None:
    tracks = LiveTracks(OPTIONS, _embedder(), depth_frames=DEPTH)
    out = _run(tracks, [True] * 10)
    assert [planned.frame.index for planned in out] == list(range(7))
    out += tracks.flush()
    assert [planned.frame.index for planned in out] == list(range(10))


def test_a_face_is_covered_before_and_after_it_is_seen() -> None:
    tracks = LiveTracks(OPTIONS, _embedder(), depth_frames=DEPTH)
    out = _run(tracks, [False] * 4 + [True] * 6 + [False] * 6) + tracks.flush()
    covered = [bool(planned.plan) for planned in out]
    assert covered[4 - DEPTH + 1 : 10] == [True] * (6 + DEPTH - 1)
    assert all(covered[10:14])


def test_the_identity_is_fixed_once_and_numbers_go_on_after_a_gap() -> None:
    tracks = LiveTracks(OPTIONS, _embedder(), depth_frames=DEPTH)
    _run(tracks, [True] * 8)
    first = dict(tracks.embeddings)
    assert tracks.identities == {1: 1}
    tracks.flush()
    assert np.array_equal(tracks.embeddings[1], first[1])  # for the frames that were held
    _run(tracks, [True] * 8, start=100)
    assert tracks.track_count == 2
    assert tracks.identities == {2: 2}


def test_ended_tracks_are_forgotten() -> None:
    tracks = LiveTracks(OPTIONS, _embedder(), depth_frames=0)
    _run(tracks, [True] * 5 + [False] * 150)
    assert tracks.identities == {}
    assert tracks.ended == [1]


def test_who_comes_back_soon_keeps_the_identity() -> None:
    """Half a second is less than it takes to forget a track."""
    gap = round(25 * (TrackerOptions().max_coast_s + 0.5))
    tracks = LiveTracks(OPTIONS, _embedder(), depth_frames=0)
    _run(tracks, [True] * 5 + [False] * gap + [True] * 5)
    assert tracks.identities[2] == 1
    _run(tracks, [True] * 150, start=10 + gap)
    assert tracks.identities == {2: 1}
    assert list(tracks.embeddings) == [1]


def test_lost_connections_leave_nothing_behind_though_one_face_stays() -> None:
    """A poster on the wall is in every picture for months, and others come and go."""
    tracks = LiveTracks(OPTIONS, _embedder(), depth_frames=DEPTH)
    ended = 0
    for number in range(20):
        _run(tracks, [True] * 4, start=1000 * number)
        assert len(tracks.identities) <= 1
        assert len(tracks.embeddings) <= 2
        tracks.flush()
        ended += len(tracks.ended)
        tracks.ended.clear()
    assert ended == tracks.track_count == 20


def test_a_track_that_never_got_an_identity_ends_as_well() -> None:
    tracks = LiveTracks(OPTIONS, _embedder(), depth_frames=0)
    found = _found(150.0)
    flat = Detections(found.boxes_xyxy_px, np.zeros_like(found.landmarks_px), found.scores)
    for step in range(150):
        frame = Frame(_PIXELS, ColorSpec(), step, Fraction(1, 25), step)
        tracks.push(frame, flat if step < 5 else Detections.empty())
    assert tracks.identities == {}
    assert tracks.ended == [1]


@pytest.mark.parametrize("depth", [0, 5])
def test_nothing_is_lost_at_any_depth(depth: int) -> None:
    tracks = LiveTracks(OPTIONS, _embedder(), depth_frames=depth)
    assert len(_run(tracks, [True, False] * 6) + tracks.flush()) == 12


def test_each_identity_gets_its_key_once_and_it_is_forgotten_with_it() -> None:
    generator = FaceGenerator(generator_engine(inverting))
    asked: list[tuple[int, int]] = []

    class Keys:
        def propose(self, identity_id: int, original: Float32Array, attempt: int) -> Float32Array:
            asked.append((identity_id, attempt))
            return original

    # The encoder sees the same person everywhere, so that every key is tried.
    disguise = Disguise(generator, _embedder(), Keys(), most_alike=0.33, attempts=3)
    tracks = LiveTracks(OPTIONS, _embedder(), depth_frames=0, disguise=disguise)
    _run(tracks, [True] * 30)
    assert asked == [(1, 0), (1, 1), (1, 2)]
    assert tracks.attempts == {1: 0}
    _run(tracks, [False] * 400, start=30)
    assert tracks.attempts == {}


def test_what_is_only_covered_has_no_identity() -> None:
    """An ear or a hand costs no run of E_id and of the generator, unless it turns out a face."""
    tracks = LiveTracks(OPTIONS, _embedder(), depth_frames=0)
    found = _found(150.0)
    plans = []
    for step, score in enumerate([0.55] * 4 + [0.65] + [0.55] * 8):
        frame = Frame(_PIXELS, ColorSpec(), step, Fraction(1, 25), step)
        scored = Detections(found.boxes_xyxy_px, found.landmarks_px, np.array([score], np.float32))
        plans += [planned.plan for planned in tracks.push(frame, scored)]
        assert tracks.identities == ({} if step < 4 else {1: 1})
    assert all(plan for plan in plans)  # covered all the time
    assert plans[3][0].action == "fill"
    assert plans[-1][0].action == "replace"


@pytest.mark.parametrize(("is_late", "tries"), [(False, [16, 0]), (True, [0, 0])])
def test_keys_are_compared_for_one_person_a_frame_and_not_when_late(
    is_late: bool, tries: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def choose(*_: object, tries: int) -> KeyChoice:
        asked.append(tries)
        return KeyChoice()

    monkeypatch.setattr(Disguise, "choose", choose)
    generator = FaceGenerator(generator_engine(inverting))
    disguise = Disguise(generator, _embedder(), MagicMock(), most_alike=0.33, attempts=1)
    tracks = LiveTracks(OPTIONS, _embedder(), depth_frames=0, disguise=disguise)
    one, other = _found(100.0), _found(240.0)
    # The fake encoder sees one person everywhere, whom nobody is taken for at the same time.
    both = Detections(
        np.concatenate([one.boxes_xyxy_px, other.boxes_xyxy_px]),
        np.concatenate([one.landmarks_px, other.landmarks_px]),
        np.concatenate([one.scores, other.scores]),
    )
    tracks.push(Frame(_PIXELS, ColorSpec(), 0, Fraction(1, 25), 0), both, is_late=is_late)
    assert asked == tries
