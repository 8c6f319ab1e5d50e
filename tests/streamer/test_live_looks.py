"""Looks at a camera: frames that wait together share one when they agree, and only then."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from engines.errors import EngineRunError
from engines.types import Detections
from streamer.channel import Channel
from streamer.frames import ColorSpec, CopiedPacket, Frame
from streamer.live_looks import LiveLooks, waiting_together
from streamer.live_source import LiveItem, Reconnected
from streamer.sparse_finder import SparseOptions

TIME_BASE = Fraction(1, 25)


def frame(index: int, *, grey: int = 90) -> Frame:
    return Frame(np.full((180, 160), grey, np.uint8), ColorSpec(), index, TIME_BASE, index)


class _Finder:
    """Sees one face that moves by a pixel a frame, and notes where it looked."""

    def __init__(self) -> None:
        self.looked: list[int] = []
        self.fails = False

    def find(self, one: Frame) -> Detections:
        self.looked.append(one.index)
        if self.fails:
            raise EngineRunError("the device is gone")
        left = 20.0 + one.index
        box = np.array([[left, 30, left + 40, 80]], np.float32)
        return Detections(box, np.full((1, 5, 2), left, np.float32), np.array([0.9], np.float32))

    def refine(self, one: Frame, found: Detections) -> Detections:
        return found

    def sees_any(self, one: Frame, part_xyxy_px: tuple[int, int, int, int]) -> bool:
        raise AssertionError("nothing changes in these pictures but everything")


def looks(finder: Any, *, stride: int = 2) -> LiveLooks:  # noqa: ANN401 - stands in for a network
    return LiveLooks(finder, SparseOptions(stride=stride))


def test_a_frame_that_waits_behind_another_is_looked_at_for_both() -> None:
    finder = _Finder()
    one = looks(finder)
    one.find([frame(0)])
    found = one.find([frame(1), frame(2)])
    assert finder.looked == [0, 2]
    assert [faces.boxes_xyxy_px[0, 0] for faces in found] == [21.0, 22.0]
    one.find([frame(3)])
    assert finder.looked == [0, 2, 3]  # nothing waits: every frame is looked at


@pytest.mark.parametrize(
    "reason", ["something flashes up", "all are asked for", "forgotten", "too long ago", "failed"]
)
def test_without_proof_every_frame_is_looked_at(reason: str) -> None:
    finder = _Finder()
    one = looks(finder, stride=1 if reason == "all are asked for" else 2)
    one.find([frame(0)])
    if reason == "forgotten":
        one.forget()
    if reason == "failed":
        finder.fails = True
        with pytest.raises(EngineRunError):
            one.find([frame(1)])
        finder.fails = False
    finder.looked.clear()
    late = 10 if reason == "too long ago" else 1
    waiting = frame(late, grey=150 if reason == "something flashes up" else 90)
    one.find([waiting, frame(late + 1)])
    assert sorted(finder.looked) == [late, late + 1]


PACKET = CopiedPacket(1, "audio", b"sound", 0, 0, 1, TIME_BASE, True)
LOST = Reconnected(1.0, 1)


@pytest.mark.parametrize(
    ("waiting", "most", "taken"),
    [
        ((), 2, 0),
        ((frame(0),), 2, 1),
        ((frame(0), frame(1), frame(2)), 2, 2),
        ((frame(0), frame(1)), 1, 1),
        ((frame(0), PACKET, PACKET, frame(1), frame(2)), 2, 4),
        ((PACKET, frame(0), frame(1)), 2, 1),
        ((frame(0), LOST, frame(1)), 2, 2),
        ((LOST, frame(0)), 2, 1),
    ],
)
def test_only_frames_that_wait_already_are_taken_together(
    waiting: tuple[LiveItem, ...], most: int, taken: int
) -> None:
    channel: Channel[LiveItem] = Channel(8)
    for item in waiting:
        channel.send(item)
    items = waiting_together(channel, 0.0, most_frames=most)
    assert items == list(waiting[:taken])
    assert len(channel) == len(waiting) - taken
