from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from streamer.backoff import BackoffOptions
from streamer.camera_snapshot import SinkHealth
from streamer.sink_coded import CodedPicture
from streamer.sink_items import Cut
from streamer.sink_worker import OutputWorker, WorkerOptions
from tests.live_media import STEP, FakeTarget, coded_pictures, wait_until

Coded = tuple[Cut, list[CodedPicture]]
QUICK = BackoffOptions(first_s=0.02, longest_s=0.05)


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Coded:
    return coded_pictures(tmp_path_factory.mktemp("coded"), 60, keys=(0, 20, 40))


class _Job:
    def __init__(self, target: FakeTarget, *, most_s: float = 100.0) -> None:
        self.asked: list[str] = []
        self.healths: list[SinkHealth] = []
        self.target = target
        self.worker = OutputWorker(
            "out", target,
            options=WorkerOptions(most_s, keeps_oldest=target.renews == "on cut", backoff=QUICK),
            ask_cut=lambda: self.asked.append("cut"),
            ask_key=lambda: self.asked.append("key"),
            on_health=lambda name, health: self.healths.append(health),
        )  # fmt: skip

    def numbers(self) -> list[int]:
        return [item.pts // STEP for item in self.target.written if isinstance(item, CodedPicture)]


def test_a_file_gets_everything_and_a_new_one_at_each_cut(coded: Coded) -> None:
    cut, pictures = coded
    job = _Job(FakeTarget("on cut"))
    for label, part in (("a", pictures[:20]), ("b", pictures[20:40]), ("c", pictures[40:])):
        job.worker.offer(replace(cut, label=label, is_new_video=False))
        for picture in part:
            job.worker.offer(picture)
    assert job.worker.close(20)
    assert job.numbers() == list(range(60))
    assert job.target.log == ["open a", "close", "open b", "close", "open c", "close", "abandon"]
    assert job.worker.health.state == "ended"
    assert job.worker.health.dropped == 0


def test_a_hanging_output_does_not_hold_up_whoever_offers(coded: Coded) -> None:
    cut, pictures = coded
    job = _Job(FakeTarget("on new video"), most_s=0.9)
    job.worker.offer(cut)
    wait_until(lambda: "key" in job.asked)
    job.target.gate.clear()
    job.worker.offer(pictures[0])
    wait_until(job.target.hangs.is_set)
    start_s = time.monotonic()
    for picture in pictures[1:]:
        job.worker.offer(picture)
    assert time.monotonic() - start_s < 1.0
    assert job.worker.health.dropped > 0
    assert not job.worker.close(0.1)
    job.target.gate.set()
    assert job.worker.close(20)
    # After the picture that hung, what was old is gone, and a key frame comes first.
    assert job.numbers() == [0, *range(40, 60)]


def test_a_connection_that_fails_is_made_again(coded: Coded) -> None:
    cut, pictures = coded
    job = _Job(FakeTarget("on new video"))
    job.target.fails.set()
    job.worker.offer(cut)
    wait_until(lambda: job.worker.health.last_error == "nobody there")
    for picture in pictures[:20]:
        job.worker.offer(picture)
    assert job.worker.health.state == "down"
    job.target.fails.clear()
    wait_until(lambda: job.worker.health.state == "up")
    for picture in pictures[20:40]:
        job.worker.offer(picture)
    wait_until(lambda: len(job.target.written) == 20)
    job.target.fails.set()
    job.worker.offer(pictures[40])
    wait_until(lambda: job.worker.health.last_error == "gone")
    job.target.fails.clear()
    wait_until(lambda: job.worker.health.reconnects == 1)
    assert job.worker.close(20)
    assert job.numbers() == list(range(20, 40))


def test_a_file_that_fails_asks_for_a_new_piece(coded: Coded) -> None:
    cut, pictures = coded
    job = _Job(FakeTarget("on cut"))
    job.worker.offer(cut)
    job.worker.offer(pictures[0])
    wait_until(lambda: len(job.target.written) == 1)
    job.target.fails.set()
    job.worker.offer(pictures[1])
    wait_until(lambda: job.worker.health.state == "down")
    job.worker.offer(pictures[2])
    job.target.fails.clear()
    wait_until(lambda: job.asked == ["cut"])
    job.worker.offer(pictures[3])  # belongs to the piece that was lost
    job.worker.offer(replace(cut, label="next", is_new_video=False))
    for picture in pictures[20:25]:
        job.worker.offer(picture)
    assert job.worker.close(20)
    assert job.numbers() == [0, *range(20, 25)]
    assert "open next" in job.target.log


def test_a_connection_is_kept_at_a_cut_and_renewed_for_a_new_format(coded: Coded) -> None:
    cut, pictures = coded
    job = _Job(FakeTarget("on new video"))
    job.worker.offer(cut)
    wait_until(lambda: "key" in job.asked)
    job.worker.offer(replace(cut, label="same", is_new_video=False))
    job.worker.offer(pictures[0])
    wait_until(lambda: len(job.target.written) == 1)
    job.worker.offer(replace(cut, label="new"))
    wait_until(lambda: len(job.target.log) == 3)
    assert job.worker.close(20)
    assert job.target.log[:3] == ["open ", "close", "open new"]


def test_latency_counts_from_the_arrival_of_the_frame(coded: Coded, tmp_path: Path) -> None:
    job = _Job(FakeTarget("on cut"))
    job.worker.offer(coded[0])
    for picture in coded[1][:3]:
        job.worker.offer(picture)
    assert job.worker.close(20)
    assert job.worker.latency().count == 0  # made pictures have no arrival
