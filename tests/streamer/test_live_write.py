"""The last stage of a live job: what it notes about frames that are not there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from streamer.blender import AnonymizedFrame
from streamer.frames import ColorSpec, Frame
from streamer.key_log import Gap, Note
from streamer.key_log_records import GapReason
from streamer.live_write import LiveWriter
from tests.live_media import BASE, moving_frame
from tests.media import anonymized

SIZE_HW = (96, 128)


class _Rig:
    """A writer whose log and outputs only remember."""

    def __init__(self) -> None:
        self.notes: list[Gap | Note] = []
        self.written: list[int] = []
        sink: Any = SimpleNamespace(
            wants_cut=False,
            cut=lambda *_, **__: None,
            write=lambda frame, **_: self.written.append(frame.pts),
        )
        log: Any = SimpleNamespace(
            begin=lambda *_, **__: None, add=lambda *_: None, note=self.notes.append
        )
        names = SimpleNamespace(next=lambda unix_s: "")
        plan: Any = SimpleNamespace(names=names, key_logs=None, shared_log=False)
        info: Any = SimpleNamespace()
        self.writer = LiveWriter(sink, log, plan, info, segment_s=None, clock=lambda: 0.0)

    def put(self, frame: AnonymizedFrame, *, is_made: bool = False) -> bool:
        return self.writer.put(frame, (), arrived_s=None, is_made=is_made)


def _later(index: int, pts: int) -> AnonymizedFrame:
    """A frame of the camera with this number, at another time than usual."""
    pixels = np.full((SIZE_HW[0] * 3 // 2, SIZE_HW[1]), 90, np.uint8)
    return anonymized(Frame(pixels, ColorSpec(), pts, BASE, index))


def test_frames_in_a_row_leave_no_gap() -> None:
    rig = _Rig()
    assert all(rig.put(moving_frame(index, SIZE_HW)) for index in range(5))
    assert rig.notes == []


@pytest.mark.parametrize(
    ("was_lost", "next_index", "reason"),
    [(True, 3, "source lost"), (False, 7, "frames dropped"), (True, 7, "source lost")],
)
def test_what_is_missing_is_noted_with_its_times(
    was_lost: bool, next_index: int, reason: GapReason
) -> None:
    rig = _Rig()
    frames = [moving_frame(index, SIZE_HW) for index in (*range(3), next_index)]
    for frame in frames[:3]:
        rig.put(frame)
    if was_lost:
        rig.writer.lost()
    rig.put(frames[3])
    assert rig.notes == [Gap(frames[2].pts, frames[3].pts, reason)]


def test_made_pictures_fill_no_gap_and_are_never_gone_back_behind() -> None:
    rig = _Rig()
    first = moving_frame(0, SIZE_HW)
    rig.put(first)
    rig.writer.lost()
    assert rig.put(_later(-1, 4000), is_made=True)
    assert not rig.put(_later(1, 3000))  # older than what is out already
    back = _later(2, 5000)
    assert rig.put(back)
    assert rig.notes == [Gap(first.pts, back.pts, "source lost")]
    assert rig.written == [first.pts, 4000, 5000]
