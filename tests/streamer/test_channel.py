from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.channel import Cancelled, Channel


@given(items=st.lists(st.integers(), max_size=40), capacity=st.integers(1, 5))
def test_never_loses_repeats_or_reorders(items: list[int], capacity: int) -> None:
    channel: Channel[int] = Channel(capacity)

    def produce() -> None:
        for item in items:
            channel.send(item)
        channel.close()

    thread = threading.Thread(target=produce)
    thread.start()
    assert list(channel) == items
    thread.join()
    assert channel.dropped == 0


def test_drop_oldest_counts_what_it_drops() -> None:
    channel: Channel[int] = Channel(2, drop_oldest=True)
    for item in range(5):
        channel.send(item)
    channel.close()
    assert list(channel) == [3, 4]
    assert channel.dropped == 3


def test_cancel_wakes_a_blocked_sender() -> None:
    channel: Channel[int] = Channel(1)
    channel.send(1)
    ended: list[str] = []

    def produce() -> None:
        try:
            channel.send(2)
        except Cancelled:
            ended.append("cancelled")

    thread = threading.Thread(target=produce)
    thread.start()
    time.sleep(0.02)
    channel.cancel()
    thread.join(timeout=5)
    assert ended == ["cancelled"]
    with pytest.raises(Cancelled):
        list(channel)


def test_send_after_close_is_misuse() -> None:
    channel: Channel[int] = Channel(1)
    channel.close()
    with pytest.raises(ValueError, match="closed"):
        channel.send(1)


def test_capacity_must_be_positive() -> None:
    with pytest.raises(ValueError, match="capacity"):
        Channel(0)


def test_only_what_may_be_dropped_is_dropped() -> None:
    channel: Channel[int] = Channel(2, drop_oldest=True, may_drop=lambda item: item % 2 == 0)
    for item in (1, 2, 3, 4):
        if item != 4:
            channel.send(item)
    assert len(channel) == 2
    channel.close()
    assert list(channel) == [1, 3]
    assert channel.dropped == 1
