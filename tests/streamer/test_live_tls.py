"""Encrypted cameras and servers: who they are is checked, against the CA file that was given."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from engines.errors import SourceOpenError
from streamer.frames import Frame
from streamer.source import SourceOptions, open_source
from tests.camera_servers import http_server, mjpeg_pages, playlist_pages
from tests.live_media import live_info, wait_until
from tests.media import Recipe, make_video
from tests.publishing import Publishing, listener, require_moving
from tests.rtmp_server import rtmp_server
from tests.rtsp_process import free_port, python_with_gstreamer, rtsp_server
from tests.tls_front import tls_front, write_certificate

pytestmark = [pytest.mark.network, pytest.mark.slow]

# A server in a folder, with a certificate: its address.
Server = Callable[[Path, Path], AbstractContextManager[str]]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_certificate(tmp_path_factory.mktemp("tls") / "camera.pem")


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of another machine."""
    return write_certificate(tmp_path_factory.mktemp("tls") / "other.pem", "192.0.2.7")


def _segments(folder: Path) -> list[Path]:
    return [
        make_video(folder / f"{number}.ts", Recipe(pts=tuple(range(50 * number, 50 * number + 50))))
        for number in range(3)
    ]


@contextmanager
def _rtsps(folder: Path, certificate: Path) -> Iterator[str]:
    python_with_gstreamer()
    port = free_port()
    recipe = Recipe(pts=tuple(range(500)), options={"preset": "ultrafast"})
    video = make_video(folder / "camera.mp4", recipe)
    with rtsp_server(video, port, "--tls", str(certificate)):
        yield f"rtsps://127.0.0.1:{port}/camera"


@contextmanager
def _mjpeg(folder: Path, certificate: Path) -> Iterator[str]:
    with http_server(mjpeg_pages(20, 200)) as plain, tls_front(plain, certificate) as port:
        yield f"https://127.0.0.1:{port}/mjpeg"


@contextmanager
def _hls(folder: Path, certificate: Path) -> Iterator[str]:
    pages = playlist_pages(_segments(folder), 2.0)
    with http_server(pages) as plain, tls_front(plain, certificate) as port:
        yield f"https://127.0.0.1:{port}/live.m3u8"


@contextmanager
def _rtmps(folder: Path, certificate: Path) -> Iterator[str]:
    recipe = Recipe(pts=tuple(range(75)), options={"preset": "ultrafast"})
    flv = make_video(folder / "camera.flv", recipe, format_name="flv")
    with rtmp_server(flv) as plain, tls_front(plain, certificate) as port:
        yield f"rtmps://127.0.0.1:{port}/live/yard"


def _options(ca_file: Path | None) -> SourceOptions:
    return SourceOptions(mode="live", open_timeout_s=20.0, read_timeout_s=10.0, ca_file=ca_file)


def _first_frames(url: str, ca_file: Path | None, count: int) -> list[Frame]:
    with open_source(url, options=_options(ca_file)) as source:
        return list(itertools.islice(source.frames(), count))


@pytest.mark.parametrize("server", [_rtsps, _mjpeg, _hls, _rtmps])
def test_a_camera_is_believed_with_its_certificate_only(
    server: Server, certificate: Path, elsewhere: Path, tmp_path: Path
) -> None:
    with server(tmp_path, certificate) as url:
        assert len(_first_frames(url, certificate, 5)) == 5
        for ca_file in (None, elsewhere):
            with pytest.raises(SourceOpenError):
                _first_frames(url, ca_file, 1)


@pytest.mark.parametrize("server", [_rtsps, _mjpeg, _hls, _rtmps])
def test_a_certificate_of_another_machine_is_refused(
    server: Server, elsewhere: Path, tmp_path: Path
) -> None:
    with server(tmp_path, elsewhere) as url, pytest.raises(SourceOpenError):
        _first_frames(url, elsewhere, 1)


def test_it_is_told_that_the_parts_of_a_playlist_are_not_checked(
    certificate: Path, tmp_path: Path
) -> None:
    """FFmpeg gives its TLS options to the playlist only; nobody must believe otherwise."""
    with _hls(tmp_path, certificate) as url, open_source(url, options=_options(certificate)) as hls:
        assert any("certificate" in text for text in hls.notices)
    with (
        _mjpeg(tmp_path, certificate) as url,
        open_source(url, options=_options(certificate)) as camera,
    ):
        assert not any("certificate" in text for text in camera.notices)


@contextmanager
def _rtsps_record(out: Path, certificate: Path) -> Iterator[str]:
    port = free_port()
    with rtsp_server(out, port, "--record", "--tls", str(certificate)):
        yield f"rtsps://127.0.0.1:{port}/camera"


@contextmanager
def _rtmps_record(out: Path, certificate: Path) -> Iterator[str]:
    plain = free_port()
    url = f"rtmp://127.0.0.1:{plain}/live/yard"
    with listener(url, out), tls_front(plain, certificate) as port:
        yield f"rtmps://127.0.0.1:{port}/live/yard"


@pytest.mark.parametrize(
    ("server", "name"), [(_rtsps_record, "heard.ts"), (_rtmps_record, "heard.mkv")]
)
def test_a_server_gets_the_video_with_its_certificate(
    server: Server, name: str, certificate: Path, tmp_path: Path
) -> None:
    with server(tmp_path / name, certificate) as url:
        publishing = Publishing(url, live_info(tmp_path), ca_file=certificate)
        publishing.wait_for(60)
        assert publishing.end() == []
        time.sleep(0.5)
    require_moving(tmp_path / name, 10)


@pytest.mark.parametrize("scheme", ["rtsps", "rtmps"])
def test_a_server_that_nobody_vouches_for_gets_nothing(
    scheme: str, certificate: Path, elsewhere: Path, tmp_path: Path
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as plain,
        tls_front(plain.getsockname()[1], certificate) as port,
    ):
        url = f"{scheme}://127.0.0.1:{port}/live/yard"
        publishing = Publishing(url, live_info(tmp_path), ca_file=elsewhere)
        wait_until(lambda: publishing.worker.health.last_error != "", 60)
        frames = publishing.frames
        wait_until(lambda: publishing.frames > frames + 25, 60)
        assert publishing.end() == []
        plain.setblocking(False)
        with pytest.raises(BlockingIOError):  # not even a request came through
            plain.accept()
    assert publishing.sent == 0
