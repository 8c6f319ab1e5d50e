"""When frames arrived, also of those that never come out."""

from __future__ import annotations

from streamer.live_arrivals import Arrivals
from tests.factories import make_frame


def test_the_age_of_a_frame_is_known_until_it_was_taken_out() -> None:
    now_s = 5.0
    arrivals = Arrivals(lambda: now_s)
    frames = [make_frame(index=index) for index in range(3)]
    for frame in frames:
        arrivals.add(frame)
        now_s += 0.1
    assert arrivals.age_s(frames[0]) == now_s - 5.0
    assert arrivals.age_s(make_frame(index=7)) is None
    # The first one was dropped; it and the second are forgotten.
    assert arrivals.take(1) == 5.1
    assert [arrivals.age_s(frame) is None for frame in frames] == [True, True, False]
    assert arrivals.take(1) is None
