from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import KeyLogError
from streamer.key_log_records import Gap, Record, SealedPatch
from streamer.media_info import Notices
from streamer.seal_budget import SealBudget, SealGate
from tests.key_log_forge import make_face, make_patch, make_thumbnail

MIB = 1 << 20


class Disk:
    """A disk whose free space the test sets."""

    def __init__(self) -> None:
        self.free = 1000 * MIB
        self.now_s = 0.0
        self.looks = 0

    def look(self, folder: Path) -> int:
        self.looks += 1
        return self.free

    def budget(self, *, most: int | None = None, stops: bool = False) -> SealBudget:
        return SealBudget(
            Path(), most_bytes=most, min_free_bytes=100 * MIB, stops=stops,
            free_bytes=self.look, now=lambda: self.now_s,
        )  # fmt: skip


def frame(pts: int) -> list[Record]:
    return [make_face(0, pts=pts), make_patch(0, pts=pts)]


def patches(records: object) -> int:
    assert isinstance(records, list)
    return sum(isinstance(record, SealedPatch) for record in records)


def test_thumbnails_wait_for_room_like_originals() -> None:
    disk = Disk()
    gate = SealGate(disk.budget(most=1000), Notices())
    face, small = make_face(0, pts=1), make_thumbnail(0, pts=1)
    assert gate.let_in([face, small], 1, log_bytes=0)[0] == [face, small]
    assert list(gate.let_in([face, small], 2, log_bytes=1000)[0]) == [face]


def test_looks_at_the_disk_once_a_second_and_waits_for_real_room() -> None:
    disk = Disk()
    budget = disk.budget()
    assert budget.refusal(0) is None
    disk.free = 99 * MIB
    assert budget.refusal(0) is None  # not looked at yet
    disk.now_s = 1.0
    assert "100 MiB" in str(budget.refusal(0))
    disk.now_s, disk.free = 2.0, 110 * MIB
    assert budget.refusal(0) is not None
    disk.now_s, disk.free = 3.0, 130 * MIB
    assert budget.refusal(0) is None
    assert disk.looks == 4


def test_unreadable_disk_counts_as_full() -> None:
    def fail(folder: Path) -> int:
        raise OSError

    budget = SealBudget(Path(), most_bytes=None, min_free_bytes=1, free_bytes=fail)
    assert budget.refusal(0) is not None


def test_cap_and_policy() -> None:
    budget = Disk().budget(most=5 * MIB)
    assert budget.refusal(5 * MIB - 1) is None
    assert "cap of 5 MiB" in str(budget.refusal(5 * MIB))
    with pytest.raises(KeyLogError, match="when_short says stop"):
        Disk().budget(most=1, stops=True).refusal(1)


def test_gap_is_logged_when_room_comes_back_and_faces_stay() -> None:
    disk, notices = Disk(), Notices()
    gate = SealGate(disk.budget(), notices)
    records, gap = gate.let_in(frame(0), 0, log_bytes=0)
    assert (patches(records), gap) == (1, None)
    disk.free, disk.now_s = 0, 2.0
    for pts in (1, 2, 3):
        records, gap = gate.let_in(frame(pts), pts, log_bytes=0)
        assert (patches(records), len(records), gap) == (0, 1, None)
    assert any("not kept any more" in text for text in notices)
    disk.free, disk.now_s = 1000 * MIB, 4.0
    records, gap = gate.let_in(frame(4), 4, log_bytes=0)
    assert (patches(records), gap) == (1, Gap(1, 3, "disk short"))
    assert gate.end() is None


def test_long_gaps_are_logged_in_pieces() -> None:
    disk = Disk()
    disk.free = 0
    gate = SealGate(disk.budget(), Notices())
    gaps = [gate.let_in(frame(pts), pts, log_bytes=0)[1] for pts in range(600)]
    found = [gap for gap in gaps if gap is not None]
    assert found == [Gap(0, 249, "disk short"), Gap(250, 499, "disk short")]
    assert gate.end() == Gap(500, 599, "disk short")


def test_records_without_originals_pass() -> None:
    disk = Disk()
    disk.free = 0
    gate = SealGate(disk.budget(stops=True), Notices())
    assert gate.let_in([make_face(0, pts=1)], 1, log_bytes=0)[1] is None
    assert disk.looks == 0
