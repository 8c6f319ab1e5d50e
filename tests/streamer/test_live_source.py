from __future__ import annotations

import os
import socket
import threading
from contextlib import AbstractContextManager, ExitStack
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import pytest

from engines.errors import SourceLostError, SourceOpenError
from streamer.backoff import BackoffOptions
from streamer.frames import Frame
from streamer.interrupt import StopRequest
from streamer.live_source import LiveOptions, LiveSource, Reconnected
from streamer.media_info import Notices
from streamer.source import SourceOptions
from tests.camera_servers import http_server, mjpeg_pages, tcp_camera
from tests.media import Recipe, make_video

FRAMES = 10
QUICK = BackoffOptions(first_s=0.02, longest_s=0.05)


@pytest.fixture(scope="module")
def stream(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    recipe = Recipe(pts=tuple(range(FRAMES)))
    return make_video(tmp_path_factory.mktemp("live") / "camera.ts", recipe).read_bytes()


def _camera(stream: bytes, *, answers: int, port: int = 0) -> AbstractContextManager[str]:
    """A TCP server that sends the whole stream to each caller and hangs up, so many times."""
    return tcp_camera(lambda caller, _: caller.sendall(stream), answers=answers, port=port)


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
def test_frames_are_a_millisecond_apart_at_least(tmp_path: Path) -> None:
    """Recordings in Matroska know no shorter time."""
    ticks = Fraction(1, 90000)
    recipe = Recipe(pts=(0, 3600, 3630, 3660, 7200, 10800), time_base=ticks)
    stream = make_video(tmp_path / "jumps.ts", recipe).read_bytes()
    stop, times = StopRequest(), list[Fraction]()
    with _camera(stream, answers=1) as url:
        for item in _source(url, stop):
            if isinstance(item, Frame):
                times.append(item.pts * item.time_base)
            if len(times) == 5:
                stop.set()
    steps_ms = [round(1000 * (later - earlier), 1) for earlier, later in pairwise(times)]
    assert steps_ms == [40, 1, 1, 38]


@pytest.mark.network
@pytest.mark.slow
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
        assert source.info.size_hw == (96, 128)
        assert source.reconnects == 0
        source.close()
    else:
        with pytest.raises(SourceLostError, match="stopped"):
            make()
    assert len(reasons) > 10


class _Clock:
    """Time that passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.stop = StopRequest()
        self.end_s = 1000.0

    def now(self) -> float:
        return self.now_s

    def sleep(self, wait_s: float) -> None:
        self.now_s += wait_s
        if self.now_s > self.end_s:
            self.stop.set()

    def source(self, url: str, backoff: BackoffOptions | None = None) -> LiveSource:
        """A source with the waits that a configuration has by default, or others."""
        options = LiveOptions(
            SourceOptions(mode="live", open_timeout_s=5), backoff or BackoffOptions(), waits=True
        )
        return LiveSource(
            url, options=options, notices=Notices(), stop=self.stop, now=self.now, sleep=self.sleep
        )


@pytest.mark.network
def test_a_server_that_hangs_up_on_everybody_is_back_within_two_seconds(stream: bytes) -> None:
    """However long it did so: its port answers all the time."""
    clock, hung_up = _Clock(), list[float]()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                with server.accept()[0] as connection:
                    if clock.now_s >= 160:
                        connection.sendall(stream)
                        return
                    hung_up.append(clock.now_s)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        source = clock.source(f"tcp://127.0.0.1:{server.getsockname()[1]}")
        source.close()
        thread.join(timeout=5)
    assert clock.now_s - 160 < 2
    # The waits grow, with some jitter, up to a second.
    assert 50 <= len(hung_up) <= 85


@pytest.mark.network
def test_a_server_that_comes_back_is_seen_at_once_however_long_the_waits(stream: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    with ExitStack() as stack:

        class Clock(_Clock):
            def sleep(self, wait_s: float) -> None:
                super().sleep(wait_s)
                if self.now_s >= 400 and not back_s:
                    back_s.append(self.now_s)
                    stack.enter_context(_camera(stream, answers=2, port=port))

        clock, back_s = Clock(), list[float]()
        source = clock.source(f"tcp://127.0.0.1:{port}", BackoffOptions(longest_s=300.0))
        source.close()
    assert clock.now_s - back_s[0] < 0.5


@pytest.mark.network
@pytest.mark.slow
def test_a_camera_that_hangs_up_after_each_picture_is_not_hammered(stream: bytes) -> None:
    clock = _Clock()
    clock.end_s = 110.0
    with _camera(stream, answers=1000) as url:
        source = clock.source(url)
        assert sum(isinstance(item, Reconnected) for item in source) <= 25


@pytest.mark.network
def test_a_refused_login_is_tried_seldom() -> None:
    clock = _Clock()
    clock.end_s = 700.0
    pages, asked = mjpeg_pages(50, 5), list[float]()
    with (
        http_server(
            pages, login="viewer:correct", on_request=lambda: asked.append(clock.now_s)
        ) as port,
        pytest.raises(SourceLostError, match="stopped"),
    ):
        clock.source(f"http://viewer:hunter2@127.0.0.1:{port}/mjpeg")
    # FFmpeg asks twice each time: without the login, and with it.
    assert 40 <= len(asked) <= 80


@pytest.mark.network
@pytest.mark.slow
def test_a_connection_without_a_picture_is_tried_again(tmp_path: Path) -> None:
    """No key frame came before the camera hung up: that ends an attempt and not the job."""
    recipe = Recipe(pts=tuple(range(200)), options={"g": "1000"})
    whole = make_video(tmp_path / "camera.ts", recipe).read_bytes()
    start = len(whole) // 2 // 188 * 188
    clock = _Clock()
    clock.end_s = 105.0
    with (
        _camera(whole[: 3 * 188] + whole[start:], answers=1000) as url,
        pytest.raises(SourceLostError, match="stopped"),
    ):
        clock.source(url)
