from __future__ import annotations

import numpy as np
import pytest

from streamer.plan import PlannedFace, PlanTable

TRANSFORM = np.array([[1.0, 0, 5], [0, 1.0, 6]])
BOX = np.array([1, 2, 3, 4], np.float32)


def make_table() -> PlanTable:
    return PlanTable(
        4,
        frames=np.array([2, 0, 2]),
        track_ids=np.array([7, 3, 3]),
        identity_ids=np.array([7, 3, 1]),
        boxes_xyxy_px=np.stack([BOX, BOX + 1, BOX + 2]),
        frame_from_crop=np.stack([TRANSFORM, TRANSFORM, np.full((2, 3), np.nan)]),
        is_coasting=np.array([False, True, False]),
    )


def test_a_table_is_a_sequence_of_plans() -> None:
    table = make_table()
    assert len(table) == 4
    assert [len(plan) for plan in table] == [1, 0, 2, 0]
    assert [face.track_id for face in table[2]] == [3, 7]
    assert [len(plan) for plan in table[1:3]] == [0, 2]
    assert table[-2][1].track_id == 7
    with pytest.raises(IndexError):
        table[4]


def test_faces_come_back_as_they_were() -> None:
    filled, replaced = make_table()[2]
    assert (filled.action, filled.frame_from_crop, filled.identity_id) == ("fill", None, 1)
    assert replaced.action == "replace"
    np.testing.assert_array_equal(replaced.frame_from_crop, TRANSFORM)
    np.testing.assert_array_equal(replaced.box_xyxy_px, BOX)
    assert make_table()[0][0].is_coasting


def test_a_face_is_replaced_with_a_transform_and_filled_without() -> None:
    with pytest.raises(ValueError, match="with a transform"):
        PlannedFace(1, 1, BOX, None, False, "replace")
    with pytest.raises(ValueError, match="with a transform"):
        PlannedFace(1, 1, BOX, TRANSFORM, False, "fill")


def test_no_frames() -> None:
    empty = PlanTable(
        0,
        frames=np.zeros(0, np.int64),
        track_ids=np.zeros(0, np.int64),
        identity_ids=np.zeros(0, np.int64),
        boxes_xyxy_px=np.zeros((0, 4), np.float32),
        frame_from_crop=np.zeros((0, 2, 3)),
        is_coasting=np.zeros(0, np.bool_),
    )
    assert list(empty) == []


def test_a_table_knows_its_identities_and_those_that_are_drawn() -> None:
    table = PlanTable(
        2,
        frames=np.array([0, 0, 1]),
        track_ids=np.array([5, 8, 9]),
        identity_ids=np.array([5, 5, 9]),
        boxes_xyxy_px=np.stack([BOX] * 3),
        frame_from_crop=np.stack([np.full((2, 3), np.nan), TRANSFORM, np.full((2, 3), np.nan)]),
        is_coasting=np.array([False] * 3),
    )
    assert table.identities() == {5: 5, 8: 5, 9: 9}
    assert table.replaced_identities() == {5: 1}
