"""A camera over RTSP: a real server, which is stopped, killed and started again."""

from __future__ import annotations

import signal
import threading
import time
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Literal

import pytest

from engines.errors import SourceLostError, SourceOpenError
from streamer.backoff import BackoffOptions
from streamer.frames import Frame
from streamer.interrupt import StopRequest
from streamer.live_source import LiveOptions, LiveSource, Reconnected
from streamer.media_info import Notices
from streamer.source import SourceOptions, open_source
from tests.media import Recipe, make_video
from tests.rtsp_process import free_port, python_with_gstreamer, rtsp_server

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    python_with_gstreamer()
    recipe = Recipe(pts=tuple(range(1500)), options={"preset": "ultrafast"})
    return make_video(tmp_path_factory.mktemp("camera") / "camera.mp4", recipe)


def _options(transport: Literal["tcp", "udp"] = "tcp") -> SourceOptions:
    return SourceOptions(
        mode="live", rtsp_transport=transport, open_timeout_s=20.0, read_timeout_s=2.0
    )


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_frames_come_with_the_camera_s_times(video: Path, transport: Literal["tcp", "udp"]) -> None:
    port = free_port()
    times_s: list[Fraction] = []
    url = f"rtsp://127.0.0.1:{port}/camera"
    with rtsp_server(video, port), open_source(url, options=_options(transport)) as source:
        assert source.info.size_hw == (96, 128)
        for frame in source.frames():
            times_s.append(frame.pts * frame.time_base)
            if len(times_s) == 30:
                break
        assert not list(source.notices)
    # The first one has no time of its own; it is placed before the others.
    steps = {later - earlier for earlier, later in pairwise(times_s)}
    assert steps == {Fraction(1, 25)}


def test_a_wrong_password_is_told_without_showing_it(video: Path) -> None:
    port = free_port()
    with rtsp_server(video, port, "viewer", "correct"):
        right = f"rtsp://viewer:correct@127.0.0.1:{port}/camera"
        with open_source(right, options=_options()) as source:
            assert next(source.frames()).size_hw == (96, 128)
        wrong = f"rtsp://viewer:hunter2@127.0.0.1:{port}/camera"
        with pytest.raises(SourceOpenError) as caught, open_source(wrong, options=_options()):
            pass
    assert "hunter2" not in str(caught.value)
    assert "viewer" not in str(caught.value)


def test_a_killed_server_is_a_lost_source(video: Path) -> None:
    port = free_port()
    url = f"rtsp://127.0.0.1:{port}/camera"
    with rtsp_server(video, port) as server, open_source(url, options=_options()) as source:
        frames = source.frames()
        next(frames)
        server.kill()
        with pytest.raises(SourceLostError):
            list(frames)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
def test_a_stalled_server_is_noticed_in_time(video: Path, transport: Literal["tcp", "udp"]) -> None:
    """By itself after the time-out; twice that is promised."""
    port = free_port()
    url = f"rtsp://127.0.0.1:{port}/camera"
    options = _options(transport)
    with rtsp_server(video, port) as server, open_source(url, options=options) as source:
        frames = source.frames()
        for _ in range(30):
            next(frames)
        server.send_signal(signal.SIGSTOP)
        start_s = time.monotonic()
        with pytest.raises(SourceLostError):
            list(frames)
        noticed_s = time.monotonic() - start_s
        server.send_signal(signal.SIGCONT)
    assert 0.9 * options.read_timeout_s < noticed_s < 2 * options.read_timeout_s


def test_a_restarted_server_goes_on(video: Path) -> None:
    port = free_port()
    stop = StopRequest()
    options = LiveOptions(_options(), BackoffOptions(first_s=0.1, longest_s=0.5))
    frames: list[Frame] = []
    gaps: list[Reconnected] = []
    with rtsp_server(video, port) as first:
        live = LiveSource(
            f"rtsp://127.0.0.1:{port}/camera", options=options, notices=Notices(), stop=stop
        )
        items = iter(live)
        for item in items:
            if isinstance(item, Frame):
                frames.append(item)
            if len(frames) == 10:
                break
        first.kill()
        first.wait()
    with rtsp_server(video, port):
        guard = threading.Timer(60, stop.set)
        guard.start()
        for item in items:
            if isinstance(item, Reconnected):
                gaps.append(item)
            if isinstance(item, Frame):
                frames.append(item)
            if gaps and len(frames) >= 60:
                stop.set()
        guard.cancel()
    assert len(gaps) == 1
    times = [frame.pts for frame in frames]
    assert times == sorted(set(times))
    assert {frame.time_base for frame in frames} == {live.info.time_base}
