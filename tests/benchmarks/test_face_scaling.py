from __future__ import annotations

import pytest

from benchmarks.face_scaling import cost_per_face_ms, is_within_bars, main
from benchmarks.portraits_video import MAX_FACES, portrait_frames, portraits


def test_cost_of_a_further_face() -> None:
    slope_ms, explained = cost_per_face_ms([0, 1, 2, 4], [0.02, 0.03, 0.04, 0.06])
    assert slope_ms == pytest.approx(10)
    assert explained == pytest.approx(1)


def test_each_further_face_must_cost_the_same() -> None:
    assert is_within_bars(*cost_per_face_ms([0, 1, 2, 4], [0.02, 0.03, 0.041, 0.059]))
    assert not is_within_bars(*cost_per_face_ms([0, 1, 2, 4], [0.02, 0.045, 0.07, 0.12]))
    # Cheap enough on average, but each face costs more than the one before.
    assert not is_within_bars(*cost_per_face_ms([0, 1, 2, 4], [0.02, 0.021, 0.024, 0.06]))


def test_too_many_faces_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--faces", str(MAX_FACES + 1)])
    assert "from 0 to" in capsys.readouterr().err


def test_portraits_move_and_are_enough() -> None:
    assert len(portraits()) >= MAX_FACES
    first, second = portrait_frames(2, 3, size_hw=(180, 320), card_px=100)
    assert first.shape == (180, 320, 3)
    assert (first != second).any()
