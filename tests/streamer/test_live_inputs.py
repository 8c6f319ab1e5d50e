"""Every kind of camera, each against a real server on the loopback interface."""

from __future__ import annotations

import datetime
import itertools
import threading
import time
from fractions import Fraction
from ipaddress import IPv4Address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

from engines.errors import MediaError, SourceOpenError
from streamer.credentials import with_credentials
from streamer.frames import Frame
from streamer.interrupt import StopRequest
from streamer.live_source import FormatChanged, LiveOptions, LiveSource
from streamer.media_info import Notices
from streamer.source import SourceOptions, open_source
from streamer.source_open import is_playlist
from tests.camera_servers import http_server, mjpeg_pages, playlist_pages, udp_sender
from tests.media import Recipe, make_video
from tests.rtmp_server import rtmp_server
from tests.rtsp_process import free_port, python_with_gstreamer, rtsp_server

pytestmark = [pytest.mark.network, pytest.mark.slow]

LOGIN = "me@home:p/a:s s?"


def _options(*, ca_file: Path | None = None, read_timeout_s: float = 10.0) -> SourceOptions:
    return SourceOptions(
        mode="live", open_timeout_s=20.0, read_timeout_s=read_timeout_s, ca_file=ca_file
    )


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


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1 that signs itself, with its key in the same file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False
        )
        .sign(key, SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "camera.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + private)
    return path


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


def test_rtsps_believes_only_the_given_certificate(video: Path, certificate: Path) -> None:
    python_with_gstreamer()
    port = free_port()
    url = f"rtsps://127.0.0.1:{port}/camera"
    with rtsp_server(video, port, "--tls", str(certificate)):
        assert len(_first_frames(url, 5, _options(ca_file=certificate))) == 5
        with pytest.raises(SourceOpenError):
            _first_frames(url, 1)


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


@pytest.fixture
def two_sizes(tmp_path: Path) -> list[bytes]:
    recipes = [Recipe(pts=tuple(range(20)), size_hw=size) for size in ((96, 128), (48, 64))]
    return [
        make_video(tmp_path / f"{number}.ts", recipe).read_bytes()
        for number, recipe in enumerate(recipes)
    ]


def test_another_resolution_in_mid_stream_is_followed(two_sizes: list[bytes]) -> None:
    import socket

    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(b"".join(two_sizes))
            time.sleep(1)

    threading.Thread(target=serve, daemon=True).start()
    url = f"tcp://127.0.0.1:{listener.getsockname()[1]}"
    stop = StopRequest()
    live = LiveSource(url, options=LiveOptions(_options()), notices=Notices(), stop=stop)
    seen: list[Frame | FormatChanged] = []
    for item in live:
        if isinstance(item, Frame | FormatChanged):
            seen.append(item)
        if len(seen) == 35:
            stop.set()
    listener.close()
    changes = [place for place, item in enumerate(seen) if isinstance(item, FormatChanged)]
    assert len(changes) == 1
    before, after = seen[: changes[0]], seen[changes[0] + 1 :]
    assert {one.size_hw for one in before if isinstance(one, Frame)} == {(96, 128)}
    assert {one.size_hw for one in after if isinstance(one, Frame)} == {(48, 64)}
    frames = [one for one in seen if isinstance(one, Frame)]
    assert [one.pts for one in frames] == sorted({one.pts for one in frames})
    assert {one.time_base for one in frames} == {Fraction(1, 90000)}
