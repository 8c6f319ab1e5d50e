from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.types import Detections
from streamer.aligner import similarity_from_landmarks
from streamer.extension import ExtensionOptions
from streamer.look_back import LookBack, LookBackOptions, finalise
from streamer.plan import FramePlan
from streamer.sparse_finder import SparseOptions
from streamer.track_table import TrackTable
from streamer.tracker import Tracker, TrackerOptions
from tests.streamer.scenes import (
    SIZE_HW,
    STEP_S,
    detections,
    face_points,
    is_covered,
    live_plan_of,
    moving,
    plan_of,
    table_of,
)


def actions(plans: list[FramePlan]) -> str:
    """One letter a frame: r replaced, f filled, a dot for nothing."""
    return "".join(plan[0].action[0] if plan else "." for plan in plans)


def test_a_steady_face_is_replaced_in_every_frame_where_it_is() -> None:
    plans = plan_of(moving(30, lambda t: (100 + 60 * t, 200, 80)))
    assert actions(plans) == "r" * 30
    for i, (face,) in enumerate(plans):
        assert face.frame_from_crop is not None
        expected = similarity_from_landmarks(face_points(100 + 60 * i * STEP_S, 200), 160)
        np.testing.assert_allclose(face.frame_from_crop, expected, atol=0.1)


def test_a_short_gap_is_replaced_and_a_long_one_filled() -> None:
    plans = plan_of(moving(60, lambda t: (100 + 60 * t, 200, 80), missing=[20, 21, *range(35, 50)]))
    assert actions(plans) == "r" * 35 + "f" * 15 + "r" * 10
    for i, plan in enumerate(plans):
        assert is_covered(plan, 100 + 60 * i * STEP_S, 200, 80)
        assert plan[0].is_coasting == (i in (20, 21) or 35 <= i < 50)


@pytest.mark.parametrize("speed_px_s", [0.0, 100.0, -100.0])
def test_a_face_is_covered_before_its_first_and_after_its_last_sighting(speed_px_s: float) -> None:
    def path(time_s: float) -> tuple[float, float, float]:
        return 300 + speed_px_s * time_s, 200, 80

    missing = [*range(15), *range(35, 50)]
    plans = plan_of(moving(50, path, missing=missing))
    assert actions(plans) == "f" * 15 + "r" * 20 + "f" * 15
    for i, plan in enumerate(plans):
        x, y, size = path(i * STEP_S)
        assert is_covered(plan, x, y, size * 0.9)


def test_an_empty_wall_is_not_covered_for_long() -> None:
    plans = plan_of(moving(200, lambda t: (300, 200, 80), missing=[*range(90), *range(110, 200)]))
    covered = [i for i, plan in enumerate(plans) if plan]
    assert min(covered) >= 90 - 18
    assert max(covered) <= 110 + 18


def test_a_slow_video_is_extended_by_frames() -> None:
    table, tracker = TrackTable(), Tracker(TrackerOptions())
    for i in range(12):
        found = detections((300, 200, 80, 0.9)) if i in (5, 6) else Detections.empty()
        faces = tracker.update(float(i), found, frame_size_hw=SIZE_HW)
        table.append(float(i), faces, found, frame_size_hw=SIZE_HW)
    assert actions(list(finalise(table, LookBackOptions()))) == "...ffrrff..."


def test_an_extension_ends_at_a_cut() -> None:
    scene = moving(40, lambda t: (300, 200, 80), missing=[*range(10), *range(30, 40)])
    plans = plan_of(scene, cuts=[7, 33])
    assert actions(plans) == "." * 7 + "f" * 3 + "r" * 20 + "f" * 3 + "." * 7


def test_weak_detections_keep_an_extension_alive() -> None:
    # Fading in: 2 s of detections too weak to start a track, then a sure one.
    scene = moving(50, lambda t: (300 + 20 * t, 200, 80), score=0.18)
    scene += moving(25, lambda t: (340 + 20 * t, 200, 80))
    plans = plan_of(scene)
    assert all(plans)
    assert all(is_covered(plan, 300 + 20 * i * STEP_S, 200, 78) for i, plan in enumerate(plans))
    assert not any(plan_of(scene[:50]))


def test_a_large_face_does_not_vanish_at_once() -> None:
    plans = plan_of(moving(60, lambda t: (320, 240, 400), missing=range(20, 60)))
    covered_s = sum(bool(plan) for plan in plans[20:]) * STEP_S
    assert covered_s == pytest.approx(ExtensionOptions().large_s, abs=2 * STEP_S)


def test_a_lone_weak_detection_is_filled_and_hardly_extended() -> None:
    plans = plan_of(
        moving(40, lambda t: (300, 200, 80), missing=[*range(20), *range(21, 40)], score=0.45)
    )
    # As long as two looks may be apart: what stands between them must not be bare.
    reach = int(SparseOptions().longest_s / STEP_S + 1e-6)
    assert actions(plans) == "." * (20 - reach) + "f" * (2 * reach + 1) + "." * (19 - reach)
    assert all(is_covered(plan, 300, 200, 80) for plan in plans[20 - reach : 21 + reach])


def test_small_faces_are_filled_and_do_not_flap_at_the_limit() -> None:
    assert actions(plan_of(moving(20, lambda t: (300, 200, 18)))) == "f" * 20
    plans = plan_of(moving(80, lambda t: (300, 200, 26 + 3.5 * np.sin(t * 9))))
    assert actions(plans) in ("r" * 80, "f" * 80)


def test_a_face_with_implausible_landmarks_is_filled() -> None:
    scene = moving(20, lambda t: (300, 200, 80))
    scene = [
        Detections(found.boxes_xyxy_px, found.landmarks_px[:, [1, 0, 2, 4, 3]], found.scores)
        for found in scene
    ]
    assert actions(plan_of(scene)) == "f" * 20


def test_a_face_without_landmarks_for_a_moment_stays_replaced() -> None:
    scene = moving(30, lambda t: (300 + 50 * t, 200, 80))
    for i in (10, 11):
        found = scene[i]
        mirrored = found.landmarks_px[:, [1, 0, 2, 4, 3]]
        scene[i] = Detections(found.boxes_xyxy_px, mirrored, found.scores)
    assert actions(plan_of(scene)) == "r" * 30


def test_an_extension_behind_a_seen_face_is_dropped() -> None:
    # The number changes at a jump, but it is one face: no box may lie on the new track's face.
    scene = moving(20, lambda t: (300, 200, 80)) + moving(20, lambda t: (302, 202, 80))
    table = table_of(scene, cuts=[])
    plans = finalise(table, LookBackOptions())
    assert [len(plan) for plan in plans] == [1] * 40


def test_jitter_is_taken_off_the_transform() -> None:
    rng = np.random.default_rng(1)
    scene = []
    for _ in range(60):
        found = detections((300, 200, 80, 0.9))
        shake = rng.normal(size=(1, 5, 2)).astype(np.float32) * 0.8
        scene.append(Detections(found.boxes_xyxy_px, found.landmarks_px + shake, found.scores))
    planned = [plan[0].frame_from_crop for plan in plan_of(scene)]
    raw = [similarity_from_landmarks(found.landmarks_px[0], 160) for found in scene]
    steps = np.diff(np.array([m for m in planned if m is not None])[:, :, 2], axis=0)
    raw_steps = np.diff(np.array(raw)[:, :, 2], axis=0)
    assert len(steps) == 59
    assert steps.std() < 0.35 * raw_steps.std()


def test_identities_are_passed_on() -> None:
    scene = moving(20, lambda t: (300, 200, 80))
    plans = finalise(table_of(scene, cuts=[10]), LookBackOptions(), identities={2: 1})
    assert [(face.track_id, face.identity_id) for plan in plans for face in plan] == (
        [(1, 1)] * 10 + [(2, 1)] * 10
    )


def test_nothing_seen() -> None:
    assert [len(plan) for plan in plan_of([Detections.empty()] * 5)] == [0] * 5
    assert plan_of([]) == []


def test_live_covers_a_face_before_its_first_sighting() -> None:
    scene = moving(40, lambda t: (300, 200, 80), missing=range(20))
    assert actions(live_plan_of(scene, 5)) == "." * 15 + "f" * 5 + "r" * 20
    assert actions(live_plan_of(scene, 0))[20:] == "f" + actions(live_plan_of(scene, 0))[21:]


def test_live_agrees_with_a_file_when_it_looks_far_enough() -> None:
    scene = moving(60, lambda t: (200 + 80 * t, 200, 80), missing=[0, 1, 2, 30, 31])
    filed, live = plan_of(scene), live_plan_of(scene, 20)
    assert actions(filed) == actions(live)
    for (one,), (other,) in zip(filed, live, strict=True):
        np.testing.assert_allclose(one.box_xyxy_px, other.box_xyxy_px, atol=1.0)


def test_live_gives_one_plan_a_frame_and_keeps_little() -> None:
    window = LookBack(LookBackOptions(), history_s=0.4)
    with pytest.raises(ValueError, match="no frame"):
        window.release()
    for i in range(50):
        window.add(i * STEP_S, (), Detections.empty(), frame_size_hw=(480, 640))
        if i >= 3:
            assert window.release() == ()
    assert len(window) == 3
    assert len(window.flush()) == 3


seen_or_not = st.lists(st.booleans(), min_size=12, max_size=50)


@settings(max_examples=15, deadline=None)
@given(
    seen=seen_or_not,
    speed=st.floats(-150, 150),
    size=st.floats(24, 120),
    live=st.booleans(),
)
def test_a_face_is_covered_wherever_it_flickers(
    seen: list[bool], speed: float, size: float, live: bool
) -> None:
    missing = [i for i, was_seen in enumerate(seen) if not was_seen]

    def path(time_s: float) -> tuple[float, float, float]:
        return 320 + speed * time_s, 240, size

    scene = moving(len(seen), path, missing=missing)
    plans = live_plan_of(scene, 4) if live else plan_of(scene)
    assert len(plans) == len(scene)
    for i, plan in enumerate(plans):
        # In the frames of a sighting, always; between close sightings too.
        is_between = any(seen[max(i - 3, 0) : i]) and any(seen[i + 1 : i + 4])
        if seen[i] or is_between:
            x, y, _ = path(i * STEP_S)
            assert is_covered(plan, x, y, size * 0.98)
        ids = [face.track_id for face in plan]
        assert ids == sorted(set(ids))
