from __future__ import annotations

from pathlib import Path

import pytest

from streamer.media_info import Notices
from streamer.sink_coded import CodedPicture, PictureEncoder
from streamer.sink_format import SinkOptions
from streamer.sink_items import Cut
from streamer.sink_queue import OutputQueue, WorkerOptions
from tests.live_media import STEP, coded_pictures, live_info

Coded = tuple[Cut, list[CodedPicture]]


@pytest.fixture(scope="module")
def coded(tmp_path_factory: pytest.TempPathFactory) -> Coded:
    return coded_pictures(tmp_path_factory.mktemp("coded"), 60, keys=(0, 20, 40))


def _drain(queue: OutputQueue) -> list[int]:
    items = [queue.take() for _ in range(len(queue))]
    return [item.pts // STEP for item in items if isinstance(item, CodedPicture)]


def test_nothing_is_taken_before_a_key_frame(coded: Coded) -> None:
    queue = OutputQueue(WorkerOptions(), is_listening=True)
    for picture in coded[1][5:25]:
        queue.offer(picture)
    assert _drain(queue) == list(range(20, 25))
    assert queue.dropped == 15


def test_a_viewer_loses_what_is_old(coded: Coded) -> None:
    queue = OutputQueue(WorkerOptions(most_s=1.0), is_listening=True)
    wants = [queue.offer(picture) for picture in coded[1][:45]]
    assert wants.count(True) == 1  # the queue was full at picture 26, and a key frame asked for
    assert _drain(queue) == list(range(40, 45))
    assert queue.dropped == 40


def test_a_recording_loses_what_is_new(coded: Coded) -> None:
    queue = OutputQueue(WorkerOptions(most_s=1.0, keeps_oldest=True), is_listening=True)
    for picture in coded[1][:30]:
        queue.offer(picture)
    assert _drain(queue) == list(range(26))
    for picture in coded[1][30:]:
        queue.offer(picture)
    assert _drain(queue) == list(range(40, 60))


def test_bytes_are_bounded(coded: Coded) -> None:
    sizes = [len(picture.data) for picture in coded[1]]
    limit = sum(sizes[:10])
    queue = OutputQueue(WorkerOptions(1e9, limit, keeps_oldest=True), is_listening=True)
    for picture in coded[1]:
        queue.offer(picture)
    assert _drain(queue) == list(range(10))


def test_a_cut_survives_and_what_is_before_it_does_not(coded: Coded) -> None:
    cut, pictures = coded
    queue = OutputQueue(WorkerOptions(), is_listening=True)
    queue.offer(pictures[0])
    queue.offer(cut)
    queue.clear()
    assert queue.take_cut() is cut
    assert queue.take_cut() is None
    queue.put_back(cut)
    queue.clear(with_cuts=True)
    assert queue.take_cut() is None


def test_who_does_not_listen_gets_only_cuts(coded: Coded) -> None:
    queue = OutputQueue(WorkerOptions(), is_listening=False)
    queue.offer(coded[0])
    queue.offer(coded[1][0])
    assert len(queue) == 1


def test_a_coded_picture_comes_from_the_encoder_alone(coded: Coded, tmp_path: Path) -> None:
    picture = coded[1][0]
    with pytest.raises(TypeError, match="PictureEncoder"):
        CodedPicture(b"", 0, picture.time_base, True, None, seal=object())
    encoder = PictureEncoder(live_info(tmp_path), options=SinkOptions(), notices=Notices())
    with pytest.raises(TypeError, match="AnonymizedFrame"):
        encoder.encode(picture, is_key=True, arrived_s=None)  # type: ignore[arg-type] # on purpose
