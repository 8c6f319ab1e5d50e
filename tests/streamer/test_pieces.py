from __future__ import annotations

import os
from pathlib import Path

import pytest

from streamer.pieces import PieceNames, PiecePattern, Retention, remove_expired

NOON = 1764072000.0  # 2025-11-25 12:00:00 UTC


def test_labels_go_before_the_extension() -> None:
    assert PiecePattern(Path("a/yard.mkv")).of("x") == Path("a/yard-x.mkv")
    assert PiecePattern(Path("a/yard.mkv"), ".vskl").of("x") == Path("a/yard-x.mkv.vskl")
    assert PiecePattern(Path("a/yard.mkv")).of("") == Path("a/yard.mkv")


def test_a_clock_that_is_set_back_gives_no_name_twice(tmp_path: Path) -> None:
    pattern = PiecePattern(tmp_path / "yard.mkv")
    names = PieceNames([pattern], is_segmented=True)
    labels = []
    for wall_s in (NOON, NOON + 1, NOON, NOON, NOON + 1):
        labels.append(names.next(wall_s))
        pattern.of(labels[-1]).touch()
    assert labels[0] == "20251125T120000Z"
    assert len(set(labels)) == 5
    assert labels[2] == "20251125T120000Z-2"


def test_a_partial_file_keeps_its_name(tmp_path: Path) -> None:
    (tmp_path / "yard-20251125T120000Z.partial.mkv").touch()
    names = PieceNames([PiecePattern(tmp_path / "yard.mkv")], is_segmented=True)
    assert names.next(NOON) == "20251125T120000Z-2"


def test_one_file_has_its_own_name_until_something_forces_another() -> None:
    names = PieceNames([PiecePattern(Path("yard.mkv"))], is_segmented=False)
    assert [names.next(NOON) for _ in range(3)] == ["", "2", "3"]


@pytest.mark.parametrize("left", ["yard.mkv", "yard.partial.mkv", "yard.mkv.vskl"])
def test_a_run_that_goes_on_leaves_what_an_earlier_one_wrote(tmp_path: Path, left: str) -> None:
    patterns = [PiecePattern(tmp_path / "yard.mkv"), PiecePattern(tmp_path / "yard.mkv", ".vskl")]
    (tmp_path / left).touch()
    (tmp_path / left.replace("yard", "yard-2")).touch()
    names = PieceNames(patterns, is_segmented=False, keeps_old=True)
    assert [names.next(NOON) for _ in range(2)] == ["3", "4"]


@pytest.fixture
def pieces(tmp_path: Path) -> list[Path]:
    found = []
    for minute in range(4):
        path = tmp_path / f"yard-20251125T12{minute:02}00Z.mkv"
        path.write_bytes(bytes(1000))
        (tmp_path / f"{path.name}.vskl").write_bytes(bytes(100))
        os.utime(path, (NOON + 60 * minute, NOON + 60 * minute))
        found.append(path)
    (tmp_path / "other-20251125T110000Z.mkv").write_bytes(bytes(5000))
    (tmp_path / "yard-holiday.mkv").write_bytes(bytes(5000))
    return found


def _patterns(folder: Path) -> tuple[PiecePattern, PiecePattern]:
    return PiecePattern(folder / "yard.mkv"), PiecePattern(folder / "yard.mkv", ".vskl")


def test_old_pieces_go_with_their_key_logs(tmp_path: Path, pieces: list[Path]) -> None:
    limits = Retention(age_s=150)
    removed = remove_expired(*_patterns(tmp_path), limits, now_s=NOON + 240)
    assert removed == pieces[:2]
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {
        "other-20251125T110000Z.mkv", "yard-holiday.mkv",
        *(one for path in pieces[2:] for one in (path.name, f"{path.name}.vskl")),
    }  # fmt: skip


def test_the_oldest_go_beyond_the_size_and_the_newest_stays(
    tmp_path: Path, pieces: list[Path]
) -> None:
    assert remove_expired(*_patterns(tmp_path), Retention(None, 2500), now_s=NOON) == pieces[:2]
    assert remove_expired(*_patterns(tmp_path), Retention(1, 1), now_s=NOON + 1e6) == pieces[2:3]
    assert pieces[3].exists()


def test_nothing_goes_without_limits(tmp_path: Path, pieces: list[Path]) -> None:
    assert remove_expired(*_patterns(tmp_path), Retention(), now_s=NOON + 1e9) == []
