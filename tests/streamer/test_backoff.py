from __future__ import annotations

import random

import pytest

from streamer.backoff import Backoff, BackoffOptions


def test_waits_double_up_to_the_cap_and_start_over() -> None:
    backoff = Backoff(BackoffOptions(1.0, 2.0, 5.0, 0.0), uniform=lambda a, b: 0.0)
    assert [backoff.next_wait_s() for _ in range(5)] == [1, 2, 4, 5, 5]
    backoff.reset()
    assert backoff.next_wait_s() == 1


@pytest.mark.parametrize("edge", [-1, 1])
def test_jitter_stays_within_its_share(edge: int) -> None:
    options = BackoffOptions(2.0, 2.0, 60.0, 0.25)
    backoff = Backoff(options, uniform=lambda a, b: a if edge < 0 else b)
    assert backoff.next_wait_s() == pytest.approx(2.0 * (1 + edge * 0.25))


def test_waiting_leaves_the_generator_of_the_process_alone() -> None:
    before = random.getstate()
    waits = {Backoff(BackoffOptions(1.0, 2.0, 5.0, 0.5)).next_wait_s() for _ in range(8)}
    assert random.getstate() == before
    assert len(waits) > 1
