from __future__ import annotations

import threading

import pytest

from streamer.channel import Channel
from streamer.runner import StageRunner


def test_first_error_wins_and_names_its_stage() -> None:
    channel: Channel[int] = Channel(1)

    def produce() -> None:
        for item in range(1000):
            channel.send(item)

    def consume() -> None:
        for item in channel:
            if item == 3:
                raise RuntimeError("no more")

    runner = StageRunner(channel)
    runner.add("produce", produce)
    runner.add("consume", consume)
    with pytest.raises(RuntimeError, match="no more") as caught:
        runner.run()
    assert caught.value.__notes__ == ["in stage consume"]


def test_all_stages_end_before_run_returns() -> None:
    ended: list[str] = []
    runner = StageRunner()
    for name in ("a", "b"):
        runner.add(name, lambda name=name: ended.append(name))  # type: ignore[misc]  # default binds the loop's value
    runner.run()
    assert sorted(ended) == ["a", "b"]
    assert not [t for t in threading.enumerate() if t.name in ("a", "b")]
