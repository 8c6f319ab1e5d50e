from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engines.errors import SourceLostError, SourceOpenError
from streamer.backoff import BackoffOptions
from streamer.demo_sample import SAMPLE_FPS, sample_frames
from streamer.frames import Frame
from streamer.interrupt import StopRequest
from streamer.live_source import LiveOptions, LiveSource, Reconnected
from streamer.media_info import Notices
from streamer.sink_demo import DemoSink
from streamer.source import SourceOptions

FRAMES = 10
QUICK = BackoffOptions(first_s=0.02, longest_s=0.05)


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("live") / "camera.ts"
    with DemoSink(path, (480, 960), fps=SAMPLE_FPS) as sink:
        for pixels in sample_frames(FRAMES / SAMPLE_FPS):
            sink.write_sample(pixels)
    return path.read_bytes()


@contextmanager
def _camera(stream: bytes, *, answers: int) -> Iterator[str]:
    """A TCP server that sends the whole stream to each caller and hangs up, so many times."""
    server = socket.create_server(("127.0.0.1", 0))
    port = server.getsockname()[1]

    def serve() -> None:
        for _ in range(answers):
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(stream)
        server.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{port}"
    finally:
        server.close()
        thread.join(timeout=5)


def _source(url: str, stop: StopRequest, *, give_up_s: float | None = None) -> LiveSource:
    options = LiveOptions(
        SourceOptions(mode="live", open_timeout_s=5, read_timeout_s=5), QUICK, give_up_s=give_up_s
    )
    return LiveSource(url, options=options, notices=Notices(), stop=stop)


@pytest.mark.network
def test_goes_on_after_the_camera_hung_up(stream: bytes) -> None:
    stop = StopRequest()
    frames: list[Frame] = []
    gaps: list[Reconnected] = []
    with _camera(stream, answers=3) as url:
        for item in _source(url, stop):
            if isinstance(item, Reconnected):
                gaps.append(item)
            elif isinstance(item, Frame):
                frames.append(item)
            if len(gaps) == 2 and len(frames) >= 2 * FRAMES + 3:
                stop.set()
    assert len(gaps) == 2
    assert all(gap.attempts >= 1 and gap.gap_s >= 0 for gap in gaps)
    pts = [frame.pts for frame in frames]
    assert pts == sorted(set(pts))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert len({frame.pixels.shape for frame in frames}) == 1
    assert len({frame.time_base for frame in frames}) == 1


@pytest.mark.network
def test_lost_connections_leave_no_threads_behind(stream: bytes) -> None:
    stop, threads = StopRequest(), list[int]()
    with _camera(stream, answers=12) as url:
        for item in _source(url, stop):
            if isinstance(item, Reconnected):
                threads.append(len(os.listdir("/proc/self/task")))
            if len(threads) == 10:
                stop.set()
    assert max(threads) == threads[0]


@pytest.mark.network
def test_gives_up_after_the_time_that_was_set(stream: bytes) -> None:
    with _camera(stream, answers=1) as url, pytest.raises(SourceLostError, match="not answered"):
        for _ in _source(url, StopRequest(), give_up_s=0.3):
            pass


@pytest.mark.network
def test_a_camera_that_never_answers_is_told_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(SourceOpenError) as caught:
        _source(f"tcp://user:s3cret@127.0.0.1:{port}", StopRequest())
    assert "s3cret" not in str(caught.value)


def test_a_file_plays_a_camera_in_its_own_time(stream: bytes, tmp_path: Path) -> None:
    path = tmp_path / "camera.ts"
    path.write_bytes(stream)
    clock = [100.0]

    def sleep(wait_s: float) -> None:
        clock[0] += wait_s

    source = LiveSource(
        str(path),
        options=LiveOptions(SourceOptions(), QUICK, is_file=True),
        notices=Notices(),
        stop=StopRequest(),
        now=lambda: clock[0],
        sleep=sleep,
    )
    times = [(clock[0], item.time_s) for item in source if isinstance(item, Frame)]
    assert len(times) == FRAMES
    lags = [wall - time for wall, time in times]
    assert max(lags) - min(lags) < 0.02


@pytest.mark.parametrize("comes", [True, False])
def test_a_first_connection_may_be_waited_for(stream: bytes, tmp_path: Path, comes: bool) -> None:
    """Under a supervisor a camera that is away when its process starts comes back as any other."""
    path = tmp_path / "camera.ts"
    clock, stop, reasons = [100.0], StopRequest(), list[str]()

    def sleep(wait_s: float) -> None:
        clock[0] += wait_s
        if clock[0] > 103 and comes:
            path.write_bytes(stream)
        elif clock[0] > 103:
            stop.set()

    def make() -> LiveSource:
        return LiveSource(
            str(path),
            options=LiveOptions(SourceOptions(mode="live"), QUICK, waits=True),
            notices=Notices(),
            stop=stop,
            now=lambda: clock[0],
            sleep=sleep,
            on_lost=reasons.append,
        )

    if comes:
        source = make()
        assert source.info.size_hw == (480, 960)
        assert source.reconnects == 0
        source.close()
    else:
        with pytest.raises(SourceLostError, match="stopped"):
            make()
    assert len(reasons) > 10
