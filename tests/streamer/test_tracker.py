from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.errors import CoverageError
from engines.types import Detections
from streamer.tracker import Tracker, TrackerOptions
from tests.streamer.scenes import SIZE_HW, STEP_S, detections, face_box, moving


def run(scene: list[Detections], tracker: Tracker | None = None) -> list[dict[int, bool]]:
    """Track id -> whether it coasts, for each frame."""
    tracker = tracker or Tracker(TrackerOptions())
    return [
        {
            face.track_id: face.is_coasting
            for face in tracker.update(i * STEP_S, found, frame_size_hw=SIZE_HW)
        }
        for i, found in enumerate(scene)
    ]


def test_a_face_is_reported_at_its_first_sighting() -> None:
    tracker = Tracker(TrackerOptions())
    (face,) = tracker.update(0.0, detections((100, 100, 80, 0.9)), frame_size_hw=SIZE_HW)
    assert (face.track_id, face.is_coasting) == (1, False)
    np.testing.assert_array_equal(face.box_xyxy_px, face_box(100, 100, 80))
    assert face.landmarks_px is not None
    assert face.score == pytest.approx(0.9)


def test_a_lone_weak_face_is_reported_and_a_very_weak_one_is_not() -> None:
    options = TrackerOptions()
    for score, count in ((options.cover_score, 1), (options.keep_score, 0)):
        found = detections((100, 100, 80, score + 0.01))
        faces = Tracker(options).update(0.0, found, frame_size_hw=SIZE_HW)
        assert len(faces) == count


def test_a_very_weak_face_continues_a_track() -> None:
    scene = moving(5, lambda t: (100 + 50 * t, 100, 80))
    scene += moving(5, lambda t: (110 + 50 * t, 100, 80), score=0.25)
    assert run(scene) == [{1: False}] * 10


def test_a_lost_face_coasts_in_a_growing_box_and_comes_back_with_its_number() -> None:
    tracker = Tracker(TrackerOptions())
    scene = moving(30, lambda t: (100 + 100 * t, 100, 80), missing=range(10, 20))
    widths = []
    for i, found in enumerate(scene):
        (face,) = tracker.update(i * STEP_S, found, frame_size_hw=SIZE_HW)
        assert face.track_id == 1
        assert face.is_coasting == (10 <= i < 20)
        widths.append(float(face.box_xyxy_px[2] - face.box_xyxy_px[0]))
        assert abs(float(face.box_xyxy_px[[0, 2]].mean()) - (100 + 4 * i)) < 12
    assert (np.diff(widths[9:20]) > 0).all()


def test_a_lost_face_is_given_up_after_a_time() -> None:
    options = TrackerOptions(max_coast_s=0.5)
    scene = moving(40, lambda t: (100, 100, 80), missing=range(10, 40))
    reported = run(scene, Tracker(options))
    assert sum(bool(faces) for faces in reported) == 10 + 12


def test_a_face_that_left_the_picture_is_given_up_at_once() -> None:
    scene = moving(60, lambda t: (560 + 500 * t, 100, 80), missing=range(6, 60))
    reported = run(scene)
    assert not any(reported[20:])


def test_crossing_faces_keep_their_numbers() -> None:
    scene = [
        detections((100 + 10 * i, 200, 80, 0.9), (500 - 10 * i, 230, 90, 0.9)) for i in range(41)
    ]
    tracker = Tracker(TrackerOptions())
    last = {}
    for i, found in enumerate(scene):
        for face in tracker.update(i * STEP_S, found, frame_size_hw=SIZE_HW):
            last[face.track_id] = float(face.box_xyxy_px[[0, 2]].mean())
    assert last == pytest.approx({1: 500, 2: 100})


def test_a_cut_ends_all_tracks() -> None:
    tracker = Tracker(TrackerOptions())
    found = detections((100, 100, 80, 0.9))
    tracker.update(0.0, found, frame_size_hw=SIZE_HW)
    (face,) = tracker.update(STEP_S, found, frame_size_hw=SIZE_HW, cut=True)
    assert face.track_id == 2
    assert tracker.update(2 * STEP_S, Detections.empty(), frame_size_hw=SIZE_HW, cut=True) == ()


def test_a_doubled_detection_does_not_make_a_second_face() -> None:
    scene = [detections((100, 100, 80, 0.9), (102, 101, 80, 0.6))] * 3
    assert run(scene) == [{1: False}] * 3


def test_implausible_landmarks_are_left_out() -> None:
    found = detections((100, 100, 80, 0.9))
    odd = Detections(found.boxes_xyxy_px, found.landmarks_px[:, [1, 0, 2, 4, 3]], found.scores)
    (face,) = Tracker(TrackerOptions()).update(0.0, odd, frame_size_hw=SIZE_HW)
    assert face.landmarks_px is None


def test_a_detection_that_is_no_number_stops_the_run() -> None:
    found = detections((100, 100, 80, 0.9))
    odd = Detections(found.boxes_xyxy_px, found.landmarks_px, np.array([np.nan], np.float32))
    for broken in (odd, Detections(found.boxes_xyxy_px * np.inf, odd.landmarks_px, found.scores)):
        with pytest.raises(CoverageError):
            Tracker(TrackerOptions()).update(0.0, broken, frame_size_hw=SIZE_HW)


def test_fast_small_faces_are_followed_by_distance() -> None:
    # A 20 px face that moves by 15 px a frame overlaps itself hardly at all.
    scene = moving(20, lambda t: (50 + 375 * t, 100, 20))
    reported = run(scene)
    assert [sum(not coasts for coasts in faces.values()) for faces in reported] == [1] * 20
    assert 1 in reported[-1]


faces_strategy = st.lists(
    st.tuples(st.floats(-50, 700), st.floats(-50, 500), st.floats(4, 400), st.floats(0.05, 0.99)),
    max_size=5,
)


@settings(max_examples=30, deadline=None)
@given(scene=st.lists(faces_strategy, max_size=12), cuts=st.sets(st.integers(0, 11)))
def test_every_face_above_the_cover_score_is_reported_in_its_own_frame(
    scene: list[list[tuple[float, float, float, float]]], cuts: set[int]
) -> None:
    options = TrackerOptions()
    tracker = Tracker(options)
    for i, faces in enumerate(scene):
        found = detections(*faces)
        reported = tracker.update(i * STEP_S, found, frame_size_hw=SIZE_HW, cut=i in cuts)
        ids = [face.track_id for face in reported]
        assert ids == sorted(set(ids))
        boxes = np.array([face.box_xyxy_px for face in reported]).reshape(-1, 4)
        assert np.isfinite(boxes).all()
        for box, score in zip(found.boxes_xyxy_px, found.scores, strict=True):
            if score >= options.cover_score:
                middle = (box[:2] + box[2:]) / 2
                assert ((boxes[:, :2] <= middle) & (boxes[:, 2:] >= middle)).all(1).any()
