from __future__ import annotations

from fractions import Fraction

from streamer.live_clock import LiveClock

HOUR = Fraction(3600)
STEP = Fraction(1, 25)


def _times(clock: LiveClock, items: list[tuple[int, Fraction, float]]) -> list[Fraction]:
    return [time + clock.offset_s(stream, time, wall) for stream, time, wall in items]


def test_the_axis_begins_where_it_is_told() -> None:
    clock = LiveClock()
    clock.resume(Fraction(0))
    assert _times(clock, [(0, HOUR, 5.0), (0, HOUR + STEP, 5.04)]) == [0, STEP]


def test_a_jump_ahead_goes_on_by_the_wall_clock_and_sound_follows() -> None:
    clock = LiveClock()
    clock.resume(Fraction(0))
    items = [
        (0, Fraction(0), 0.0), (1, Fraction(0), 0.0),
        (0, HOUR, 0.04), (1, STEP, 0.04), (1, HOUR + STEP, 0.08), (0, HOUR + STEP, 0.08),
    ]  # fmt: skip
    video0, sound0, video1, late, sound1, video2 = _times(clock, items)
    assert video0 == sound0 == 0
    assert video1 == STEP
    assert late == STEP  # sound that was still on its way keeps its old place
    assert sound1 == video2 == 2 * STEP


def test_a_burst_after_a_stall_is_no_jump() -> None:
    clock = LiveClock()
    clock.resume(Fraction(0))
    items = [(0, n * STEP, 0.0 if n < 10 else 8.0) for n in range(200)]
    assert _times(clock, items) == [n * STEP for n in range(200)]


def test_after_a_lost_connection_all_streams_begin_at_the_given_time() -> None:
    clock = LiveClock()
    clock.resume(Fraction(0))
    clock.offset_s(0, HOUR, 0.0)
    clock.resume(Fraction(30))
    assert _times(clock, [(1, Fraction(5), 30.0), (0, Fraction(5) + STEP, 30.0)]) == [30, 30 + STEP]
