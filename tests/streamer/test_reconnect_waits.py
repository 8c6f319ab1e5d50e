"""The time between two attempts, with a clock and a network of our own."""

from __future__ import annotations

import socket
from itertools import pairwise

import pytest

from engines.errors import MediaError, SourceLostError, SourceRefusedError, SourceSilentError
from streamer.backoff import BackoffOptions
from streamer.interrupt import StopRequest
from streamer.reconnect_waits import ReconnectWaits
from streamer.source_reach import answers

LONG = BackoffOptions(first_s=0.25, longest_s=60.0, jitter_ratio=0.2)


class _World:
    """A clock that runs while somebody sleeps, and a camera whose port answers at some times."""

    def __init__(self, *, back_s: float) -> None:
        self.now_s, self.back_s = 0.0, back_s
        self.looks: list[float] = []
        self.stop = StopRequest()
        self.waits = ReconnectWaits(
            "rtsp://192.0.2.1/camera", backoff=LONG, refused_wait_s=30.0, stop=self.stop,
            now=lambda: self.now_s, sleep=self._sleep, answers=self._answers,
        )  # fmt: skip

    def _sleep(self, wait_s: float) -> None:
        self.now_s += wait_s

    def _answers(self, url: str) -> bool:
        self.looks.append(self.now_s)
        return self.now_s >= self.back_s

    def attempts(
        self, until_s: float, failure: type[MediaError] = SourceSilentError
    ) -> list[float]:
        """When the camera is tried: it never gives a picture."""
        times = []
        while self.now_s < until_s:
            times.append(self.now_s)
            self.waits.after(failure)
        return times


def test_a_long_wait_ends_as_soon_as_a_silent_port_answers() -> None:
    world = _World(back_s=200.0)
    world.attempts(200.0)
    assert world.now_s - 200.0 < 0.3
    assert all(later - earlier <= 0.55 for earlier, later in pairwise(world.looks) if earlier > 10)


def test_attempts_themselves_still_back_off_with_jitter() -> None:
    """Looking at a port is cheap; a whole attempt is not, and is made ever more seldom."""
    times = _World(back_s=1e9).attempts(600.0)
    steps = [later - earlier for earlier, later in pairwise(times)]
    assert 12 <= len(times) <= 22
    assert all(0.2 <= step <= 72.1 for step in steps)
    assert len({round(step, 3) for step in steps[-5:]}) > 1


def test_a_port_that_answers_all_the_time_ends_no_wait() -> None:
    """A relay that hangs up on everybody, or a server that hangs, must not be hammered."""
    world = _World(back_s=0.0)
    assert 12 <= len(world.attempts(600.0, SourceLostError)) <= 22
    assert world.looks == []


def test_a_server_that_listens_before_it_has_pictures_is_tried_again_soon() -> None:
    world = _World(back_s=200.0)
    world.attempts(200.0)
    times = world.attempts(203.0, SourceLostError)
    assert len(times) >= 3


def test_a_refused_login_is_not_tried_sooner_because_the_port_answers() -> None:
    world = _World(back_s=0.0)
    assert 22 <= len(world.attempts(600.0, SourceRefusedError)) <= 35
    assert world.looks == []


def test_a_stop_ends_a_wait() -> None:
    world = _World(back_s=1e9)
    world.attempts(100.0)
    world.stop.set()
    before_s = world.now_s
    world.waits.after(SourceSilentError)
    assert world.now_s == before_s


@pytest.mark.network
def test_a_real_port_answers_while_somebody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"rtsp://viewer:s3cret@127.0.0.1:{server.getsockname()[1]}/camera"
        assert answers(url) is True
    assert answers(url) is False


@pytest.mark.parametrize(
    "url", ["udp://127.0.0.1:5000", "yard.mp4", "tcp://127.0.0.1", "rtsp://[x/y", "http://:80/x"]
)
def test_what_cannot_be_asked_is_not_guessed(url: str) -> None:
    assert answers(url) is None
