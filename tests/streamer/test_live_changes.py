"""A camera that changes what it sends: another size, another codec, no more pictures."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import pytest

from engines.errors import SourceLostError
from streamer.backoff import BackoffOptions
from streamer.frames import Frame
from streamer.interrupt import StopRequest
from streamer.live_source import FormatChanged, LiveOptions, LiveSource, Reconnected
from streamer.media_info import Notices
from streamer.source import SourceOptions, open_source
from tests.camera_servers import tcp_camera
from tests.media import Recipe, make_video
from tests.rtsp_process import free_port, python_with_gstreamer, rtsp_server

pytestmark = [pytest.mark.network, pytest.mark.slow]

QUICK = BackoffOptions(first_s=0.05, longest_s=0.2)


def _live(url: str, stop: StopRequest, *, read_timeout_s: float = 10.0) -> LiveSource:
    options = SourceOptions(mode="live", open_timeout_s=20.0, read_timeout_s=read_timeout_s)
    return LiveSource(url, options=LiveOptions(options, QUICK), notices=Notices(), stop=stop)


@contextmanager
def _sender(*streams: tuple[bytes, float]) -> Iterator[str]:
    """Sends each stream in its seconds, the last one for ever; later callers get only that one."""
    ended = threading.Event()

    def send(caller: socket.socket, number: int) -> None:
        parts = streams if number == 0 else streams[-1:]
        for data, seconds in itertools.chain(parts, itertools.repeat(parts[-1])):
            pieces = [data[at : at + 188] for at in range(0, len(data), 188)]
            for piece in pieces:
                caller.sendall(piece)
                if ended.wait(seconds / len(pieces)):
                    return

    with tcp_camera(send) as url:
        try:
            yield url
        finally:
            ended.set()


def _stream(folder: Path, name: str, recipe: Recipe) -> bytes:
    return make_video(folder / name, recipe).read_bytes()


def test_another_resolution_in_mid_stream_is_followed(tmp_path: Path) -> None:
    parts = [
        (_stream(tmp_path, f"{size[0]}.ts", Recipe(pts=tuple(range(20)), size_hw=size)), 0.0)
        for size in ((96, 128), (48, 64))
    ]
    stop = StopRequest()
    seen: list[Frame | FormatChanged] = []
    with _sender(*parts) as url:
        for item in _live(url, stop):
            if isinstance(item, Frame | FormatChanged):
                seen.append(item)
            if len(seen) == 35:
                stop.set()
    changes = [place for place, item in enumerate(seen) if isinstance(item, FormatChanged)]
    assert len(changes) == 1
    before, after = seen[: changes[0]], seen[changes[0] + 1 :]
    assert {one.size_hw for one in before if isinstance(one, Frame)} == {(96, 128)}
    assert {one.size_hw for one in after if isinstance(one, Frame)} == {(48, 64)}
    frames = [one for one in seen if isinstance(one, Frame)]
    assert [one.pts for one in frames] == sorted({one.pts for one in frames})
    assert {one.time_base for one in frames} == {Fraction(1, 90000)}


def test_another_codec_in_mid_stream_is_followed(tmp_path: Path) -> None:
    """Packets go on, but this decoder cannot read them: a new connection finds the new codec."""
    h264 = _stream(tmp_path, "h264.ts", Recipe(pts=tuple(range(25))))
    other = Recipe("libx265", pts=tuple(range(250)), options={"preset": "ultrafast", "g": "5"})
    stop = StopRequest()
    frames: list[Frame] = []
    with _sender((h264, 0.2), (_stream(tmp_path, "hevc.ts", other), 10.0)) as url:
        guard = threading.Timer(60, stop.set)
        guard.start()
        back = False
        for item in _live(url, stop, read_timeout_s=1.0):
            back = back or isinstance(item, Reconnected | FormatChanged)
            if isinstance(item, Frame):
                frames.append(item)
                if back:
                    stop.set()
        guard.cancel()
    assert back
    assert len(frames) > 20
    assert [one.pts for one in frames] == sorted({one.pts for one in frames})


def test_a_camera_that_comes_back_with_another_codec_and_rate_is_followed(tmp_path: Path) -> None:
    python_with_gstreamer()
    first = make_video(tmp_path / "h264.mp4", Recipe(pts=tuple(range(500))))
    second = make_video(
        tmp_path / "hevc.mp4",
        Recipe(
            "libx265", pts=tuple(range(200)), time_base=Fraction(1, 10),
            options={"preset": "ultrafast", "g": "5"},
        ),
    )  # fmt: skip
    port, stop = free_port(), StopRequest()
    frames: list[Frame] = []
    with rtsp_server(first, port) as server:
        items = iter(_live(f"rtsp://127.0.0.1:{port}/camera", stop, read_timeout_s=3.0))
        frames = [item for item in itertools.islice(items, 10) if isinstance(item, Frame)]
        before = len(frames)
        server.kill()
        server.wait()
    with rtsp_server(second, port, "--h265"):
        guard = threading.Timer(60, stop.set)
        guard.start()
        back = 0
        for item in items:
            back += isinstance(item, Reconnected)
            if isinstance(item, Frame):
                frames.append(item)
                if back and len(frames) >= before + 30:
                    stop.set()
        guard.cancel()
    assert back == 1
    times = [one.pts * one.time_base for one in frames]
    assert times == sorted(set(times))
    steps = {later - earlier for earlier, later in itertools.pairwise(times[-10:])}
    assert steps == {Fraction(1, 10)}


def test_sound_alone_is_a_stall(tmp_path: Path) -> None:
    recipe = Recipe(pts=tuple(range(25)), audio_start_s=0.0, audio_packets=250)
    data = make_video(tmp_path / "camera.ts", recipe).read_bytes()
    options = SourceOptions(mode="live", open_timeout_s=5, read_timeout_s=1.0)
    with (
        _sender((data, 6.0)) as url,
        open_source(url, options=options) as source,
        pytest.raises(SourceLostError, match="no picture"),
    ):
        list(source)
