"""Clocks that only go forward."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streamer.source_clock import FrameClock, PacketClock

TIME_BASE = Fraction(1, 90000)


@given(st.lists(st.one_of(st.none(), st.integers(-(10**6), 10**9)), min_size=1, max_size=50))
def test_frame_times_strictly_increase(pts: list[int | None]) -> None:
    clock = FrameClock(TIME_BASE, Fraction(1, 25))
    times = [clock.next(value) for value in pts]
    assert all(one < other for one, other in pairwise(times))


def test_good_times_and_jumps_are_kept() -> None:
    clock = FrameClock(TIME_BASE, Fraction(1, 25))
    pts = [7, 8, 3600, 9_000_000_000]
    assert [clock.next(value) for value in pts] == pts
    assert clock.moved == 0


def test_missing_times_follow_the_rate() -> None:
    clock = FrameClock(TIME_BASE, Fraction(1, 25))
    assert [clock.next(None) for _ in range(3)] == [0, 3600, 7200]
    assert clock.next(None, 9000) == 9000


def test_all_streams_move_together_when_the_clock_starts_again() -> None:
    steps_back: list[float] = []
    clock = PacketClock(steps_back.append)

    def moved(stream: int, time: int) -> int:
        return time + clock.shift(stream, time, 3600, TIME_BASE)

    assert [moved(0, time) for time in (900000, 903600)] == [900000, 903600]
    assert [moved(1, time) for time in (899000, 902000)] == [899000, 902000]
    # Both streams start again; sound is 1000 units before the picture, and stays there.
    assert moved(0, 1000) == 907200
    assert moved(1, 0) == 906200
    assert moved(0, 4600) == 910800
    assert len(steps_back) == 1


def test_small_disorder_is_no_restart() -> None:
    clock = PacketClock(lambda _: None)
    for time in (0, 7200, 3600, 10800):
        assert clock.shift(0, time, 3600, TIME_BASE) == 0
