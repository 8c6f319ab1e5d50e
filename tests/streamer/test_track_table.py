from __future__ import annotations

import numpy as np
import pytest

from engines.types import Detections
from streamer.track_table import TrackTable
from streamer.tracker import Tracker, TrackerOptions
from tests.streamer.scenes import SIZE_HW, STEP_S, detections, moving, table_of


def test_holds_sightings_and_what_no_track_took() -> None:
    scene = [detections((100, 100, 80, 0.9), (300, 300, 60, 0.22))] * 3 + [Detections.empty()] * 2
    table = table_of(scene)
    ((track_id, seen),) = table.tracks()
    assert (track_id, len(table)) == (1, 5)
    sightings, best = table.strength(1)
    assert sightings == 3
    assert best == pytest.approx(0.9)
    np.testing.assert_array_equal(seen.frames, [0, 1, 2])
    np.testing.assert_array_equal(seen.boxes_xyxy_px[1], scene[0].boxes_xyxy_px[0])
    np.testing.assert_array_equal(seen.landmarks_px[1], scene[0].landmarks_px[0])
    loose = table.loose()
    np.testing.assert_array_equal(loose.frames, [0, 1, 2])
    np.testing.assert_allclose(loose.scores, 0.22)


def test_grows_beyond_its_first_capacity() -> None:
    table = table_of(moving(600, lambda t: (100 + 5 * t, 100, 80)))
    ((_, seen),) = table.tracks()
    np.testing.assert_array_equal(seen.frames, np.arange(600))


def test_forgets_the_first_frames() -> None:
    table = table_of(moving(10, lambda t: (100, 100, 80)), cuts=[5])
    table.forget(4)
    assert len(table) == 6
    rows = {track_id: seen.frames.tolist() for track_id, seen in table.tracks()}
    assert rows == {1: [0], 2: [1, 2, 3, 4, 5]}
    np.testing.assert_allclose(table.times_s, np.arange(4, 10) * STEP_S)
    table.forget(1)
    assert [track_id for track_id, _ in table.tracks()] == [2]


def test_shots_are_numbered() -> None:
    table = table_of([Detections.empty()] * 6, cuts=[2, 4])
    np.testing.assert_array_equal(table.shots, [0, 0, 1, 1, 2, 2])
    assert list(table.tracks()) == []


def test_unknown_landmarks_stay_unknown() -> None:
    found = detections((100, 100, 80, 0.9))
    mirrored = Detections(found.boxes_xyxy_px, found.landmarks_px[:, [1, 0, 2, 4, 3]], found.scores)
    tracker, table = Tracker(TrackerOptions()), TrackTable()
    faces = tracker.update(0.0, mirrored, frame_size_hw=SIZE_HW)
    table.append(0.0, faces, mirrored, frame_size_hw=SIZE_HW)
    ((_, seen),) = table.tracks()
    assert np.isnan(seen.landmarks_px).all()
