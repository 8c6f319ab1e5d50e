"""Every kind of camera, each against a real server on the loopback interface."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import pytest

from engines.errors import MediaError, SourceOpenError
from streamer.credentials import with_credentials
from streamer.frames import Frame
from streamer.interrupt import StopRequest
from streamer.live_source import LiveOptions, LiveSource
from streamer.media_info import Notices
from streamer.source import SourceOptions, open_source
from streamer.source_open import is_playlist
from tests.camera_servers import http_server, mjpeg_pages, playlist_pages, udp_sender
from tests.media import Recipe, make_video
from tests.rtmp_server import rtmp_server
from tests.rtsp_process import free_port, python_with_gstreamer, rtsp_server

pytestmark = [pytest.mark.network, pytest.mark.slow]

LOGIN = "me@home:p/a:s s?"


def _options() -> SourceOptions:
    return SourceOptions(mode="live", open_timeout_s=20.0, read_timeout_s=10.0)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = Recipe(pts=tuple(range(500)), options={"preset": "ultrafast"})
    return make_video(tmp_path_factory.mktemp("camera") / "camera.mp4", recipe)


@pytest.fixture(scope="module")
def segments(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("segments")
    made = []
    for number in range(3):
        recipe = Recipe(pts=tuple(range(50 * number, 50 * number + 50)))
        made.append(make_video(folder / f"{number}.ts", recipe))
    return made


def _first_frames(url: str, count: int, options: SourceOptions | None = None) -> list[Frame]:
    with open_source(url, options=options or _options()) as source:
        return list(itertools.islice(source.frames(), count))


@pytest.mark.parametrize("more", [(), ("--digest",)], ids=["basic", "digest"])
def test_rtsp_with_a_login_from_the_environment(video: Path, more: tuple[str, ...]) -> None:
    python_with_gstreamer()
    port, plain = free_port(), "rtsp://127.0.0.1:{}/camera"
    with rtsp_server(video, port, *LOGIN.split(":", 1), *more):
        url = with_credentials(plain.format(port), "env:YARD", {"YARD": LOGIN})
        assert len(_first_frames(url, 5)) == 5
        wrong = with_credentials(plain.format(port), "env:YARD", {"YARD": LOGIN + "x"})
        for bad in (wrong, plain.format(port)):
            with pytest.raises(SourceOpenError) as caught:
                _first_frames(bad, 1)
            assert "p/a" not in str(caught.value)
            assert "home" not in str(caught.value)


def test_pictures_over_http_get_the_time_of_their_arrival() -> None:
    with http_server(mjpeg_pages(10, 60), login=LOGIN) as port:
        url = with_credentials(f"http://127.0.0.1:{port}/mjpeg", "env:Y", {"Y": LOGIN})
        start_s = time.monotonic()
        frames = _first_frames(url, 25)
        wall_s = time.monotonic() - start_s
        with pytest.raises(SourceOpenError):
            _first_frames(f"http://127.0.0.1:{port}/mjpeg", 1)
    span_s = (frames[-1].pts - frames[0].pts) * frames[0].time_base
    assert frames[0].size_hw == (96, 128)
    # Ten a second, not the 25 that FFmpeg would count; a few may come in one piece at the start.
    assert 1.0 < span_s <= wall_s + 0.1


def test_hls_is_read_in_its_own_time(segments: list[Path]) -> None:
    with http_server(playlist_pages(segments, 2.0)) as port:
        url = f"http://127.0.0.1:{port}/live.m3u8"
        assert is_playlist(url)
        stop = StopRequest()
        options = LiveOptions(_options(), is_paced=True)
        live = LiveSource(url, options=options, notices=Notices(), stop=stop)
        frames: list[tuple[float, Frame]] = []
        for item in live:
            if isinstance(item, Frame):
                frames.append((time.monotonic(), item))
            if len(frames) == 60:
                stop.set()
    wall_s = frames[-1][0] - frames[0][0]
    span_s = frames[-1][1].time_s - frames[0][1].time_s
    assert span_s == pytest.approx(59 / 25, abs=0.01)
    assert wall_s > 0.9 * span_s


def test_a_playlist_cannot_name_files_of_this_machine(segments: list[Path]) -> None:
    with (
        http_server(playlist_pages(segments, 2.0)) as port,
        pytest.raises(MediaError) as caught,
    ):
        _first_frames(f"http://127.0.0.1:{port}/evil.m3u8", 1)
    assert "root:" not in str(caught.value)


def test_a_transport_stream_over_udp(segments: list[Path]) -> None:
    port = free_port()
    with udp_sender(segments[0], port, 2.0):
        frames = _first_frames(f"udp://127.0.0.1:{port}", 60)
    times = [frame.pts for frame in frames]
    assert times == sorted(set(times))  # the stream begins again in mid-air, the times do not
    assert frames[0].size_hw == (96, 128)


def test_rtmp(tmp_path: Path) -> None:
    recipe = Recipe(pts=tuple(range(75)), options={"preset": "ultrafast"})
    flv = make_video(tmp_path / "camera.flv", recipe, format_name="flv")
    with rtmp_server(flv) as port:
        frames = _first_frames(f"rtmp://127.0.0.1:{port}/live/yard", 40)
    steps = {later.pts - earlier.pts for earlier, later in itertools.pairwise(frames)}
    assert steps == {40}
    assert frames[0].size_hw == (96, 128)


def test_nothing_over_udp_is_noticed_in_time() -> None:
    start_s = time.monotonic()
    with pytest.raises(SourceOpenError):
        _first_frames(
            f"udp://127.0.0.1:{free_port()}",
            1,
            SourceOptions(mode="live", open_timeout_s=1.0, read_timeout_s=1.0),
        )
    assert time.monotonic() - start_s < 15
