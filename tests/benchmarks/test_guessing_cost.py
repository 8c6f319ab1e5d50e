from __future__ import annotations

import pytest

from benchmarks.guessing_cost import PASSWORDS, measure_guess_s, spelled
from streamer.keys import KdfParams


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.18, "0.18 seconds"), (90, "1.5 minutes"), (180e3, "2.1 days"), (3.2e15, "1e+08 years")],
)
def test_times_are_spelled_in_their_largest_unit(seconds: float, text: str) -> None:
    assert spelled(seconds) == text


def test_the_least_of_the_runs_counts() -> None:
    ticks = iter([0.0, 5.0, 10.0, 12.0])
    cheap = KdfParams(bytes(16), memory_kib=64, iterations=1, lanes=1)
    assert measure_guess_s(cheap, runs=2, now=lambda: next(ticks)) == 2.0
    assert list(PASSWORDS.values()) == sorted(PASSWORDS.values())
