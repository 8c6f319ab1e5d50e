from __future__ import annotations

import pytest

from streamer.overload import InputSize


class _Run:
    def __init__(self, *, may_shrink: bool) -> None:
        self.now_s = 0.0
        self.dropped = 0
        self.size = InputSize(640, may_shrink=may_shrink, now=lambda: self.now_s)

    def seconds(self, seconds: int, *, drops: int) -> None:
        """So many seconds of 25 frames, of which some are dropped."""
        for _ in range(seconds):
            self.dropped += drops
            for _ in range(25 - drops):
                self.now_s += 1 / (25 - drops)
                self.size.frame(self.dropped)


def test_without_permission_nothing_changes() -> None:
    run = _Run(may_shrink=False)
    run.seconds(60, drops=15)
    assert run.size.side_px == 640


def test_steps_down_under_overload_and_up_again_after_a_calm_minute() -> None:
    run = _Run(may_shrink=True)
    run.seconds(6, drops=5)
    assert run.size.side_px == 512
    run.seconds(6, drops=5)
    assert run.size.side_px == 384
    run.seconds(30, drops=5)
    assert run.size.side_px == 384
    run.seconds(50, drops=0)
    assert run.size.side_px == 384
    run.seconds(20, drops=0)
    assert run.size.side_px == 512
    run.seconds(70, drops=0)
    assert run.size.side_px == 640


def test_a_few_drops_are_no_overload() -> None:
    run = _Run(may_shrink=True)
    run.seconds(60, drops=1)
    assert run.size.side_px == 640


@pytest.mark.parametrize("full", [320, 480, 640, 960])
def test_sides_are_multiples_of_32_and_never_larger(full: int) -> None:
    now = [0.0]
    size = InputSize(full, may_shrink=True, now=lambda: now[0])
    for dropped in range(0, 100, 10):
        now[0] += 6
        size.frame(dropped)
        assert size.side_px % 32 == 0
        assert 320 <= size.side_px <= full
