"""Publishing against real servers: what arrives, and what happens when they go away or hang."""

from __future__ import annotations

import signal
import socket
import time
from fractions import Fraction
from pathlib import Path

import pytest

from engines.errors import ConfigError
from streamer.frames import CopiedPacket
from streamer.media_info import MediaInfo, Notices
from streamer.sink_publish import PublishOptions, make_publisher
from streamer.source import open_source
from tests.live_media import STEP, live_info, wait_until
from tests.media import Recipe, make_video, read_all
from tests.publishing import Publishing, listener, require_moving
from tests.rtsp_process import free_port, rtsp_server

pytestmark = [pytest.mark.network, pytest.mark.slow]


@pytest.fixture(scope="module")
def info(tmp_path_factory: pytest.TempPathFactory) -> MediaInfo:
    return live_info(tmp_path_factory.mktemp("info"))


def test_to_an_rtsp_server(tmp_path: Path, info: MediaInfo) -> None:
    port, out = free_port(), tmp_path / "heard.ts"
    with rtsp_server(out, port, "--record"):
        publishing = Publishing(f"rtsp://127.0.0.1:{port}/camera", info)
        publishing.wait_for(50)
        assert publishing.end() == []
        time.sleep(0.5)
    require_moving(out, 30)
    assert publishing.worker.latency().count == publishing.sent
    assert publishing.worker.latency().quantile_s(0.5) < 1.0


@pytest.mark.parametrize("scheme", ["rtmp", "udp"])
def test_to_alistener(tmp_path: Path, info: MediaInfo, scheme: str) -> None:
    port, out = free_port(), tmp_path / "heard.mkv"
    url = f"{scheme}://127.0.0.1:{port}" + ("/live/yard" if scheme == "rtmp" else "")
    with listener(url, out):
        publishing = Publishing(url, info)
        publishing.wait_for(60)
        assert publishing.end() == []
    require_moving(out, 10, keeps_times=True)


@pytest.mark.parametrize("scheme", ["rtmp", "udp"])
def test_sound_arrives_with_its_picture(tmp_path: Path, scheme: str) -> None:
    recipe = Recipe(
        pts=tuple(range(0, 8000, STEP)), time_base=Fraction(1, 1000), audio_start_s=0.0,
        audio_packets=600,
    )  # fmt: skip
    with open_source(make_video(tmp_path / "source.mkv", recipe)) as source:
        info = source.info
        sound = [item for item in source if isinstance(item, CopiedPacket)]
    sent = {packet.data: packet for packet in sound}
    port, out = free_port(), tmp_path / "heard.mkv"
    url = f"{scheme}://127.0.0.1:{port}" + ("/live/yard" if scheme == "rtmp" else "")
    with listener(url, out):
        publishing = Publishing(url, info, sound=sound)
        publishing.wait_for(90)
        assert publishing.end() == []
    content = read_all(out)
    heard = next(iter(content.copies.values()))
    # Both clocks began at zero, so what lies between the two is the same in all packets.
    first_index = (int(content.frames[0].pixels[:96].mean()) - 40) / 3
    picture_s = float(content.times_s[0]) - first_index * STEP / 1000
    shifts = [
        float(one.pts * one.time_base) - float(was.pts * was.time_base)
        for one in heard
        for was in [sent.get(one.data[7:] if one.data[:1] == b"\xff" else one.data)]
        if was is not None and one.pts is not None and was.pts is not None
    ]
    assert len(shifts) > 5
    assert max(shifts) - min(shifts) < 0.003
    apart_s, period_s = shifts[0] - picture_s, 180 / 3 * STEP / 1000
    assert abs(apart_s - round(apart_s / period_s) * period_s) < 0.07


def test_a_server_that_comes_back_is_served_again(tmp_path: Path, info: MediaInfo) -> None:
    port = free_port()
    url = f"rtsp://127.0.0.1:{port}/camera"
    publishing = Publishing(url, info)
    wait_until(lambda: publishing.worker.health.last_error != "")
    assert publishing.worker.health.state == "down"
    with rtsp_server(tmp_path / "first.ts", port, "--record"):
        publishing.wait_for(25)
    wait_until(lambda: publishing.worker.health.state == "down", 60)
    with rtsp_server(tmp_path / "second.ts", port, "--record"):
        answers_s = time.monotonic()
        wait_until(lambda: publishing.worker.health.state == "up", 60)
        back_s = time.monotonic() - answers_s
        publishing.wait_for(25)
        assert publishing.end() == []
        time.sleep(0.5)
    assert publishing.worker.health.reconnects == 1
    require_moving(tmp_path / "second.ts", 10)
    assert back_s < 10  # a loaded machine; benchmarks/ say what it takes on an idle one
    assert publishing.slowest_s < 5


@pytest.mark.parametrize("scheme", ["rtsp", "rtmp"])
def test_a_server_that_never_answers_holds_nobody_up(info: MediaInfo, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/live/yard"
        publishing = Publishing(url, info)
        wait_until(lambda: publishing.worker.health.last_error != "", 60)
        frames = publishing.frames
        wait_until(lambda: publishing.frames > frames + 25, 60)
        assert publishing.end() == []
    assert publishing.worker.health.packets_sent == 0
    assert publishing.worker.health.dropped >= 25


def test_a_server_that_hangs_in_mid_stream_is_given_up(tmp_path: Path, info: MediaInfo) -> None:
    port = free_port()
    big = live_info(tmp_path, size_hw=(480, 640))
    with rtsp_server(tmp_path / "heard.ts", port, "--record") as server:
        # Noise: the socket's buffers must fill before anybody notices.
        publishing = Publishing(f"rtsp://127.0.0.1:{port}/camera", big, noise=True)
        publishing.wait_for(10)
        server.send_signal(signal.SIGSTOP)
        wait_until(lambda: publishing.worker.health.state == "down", 120)
        frames = publishing.frames
        wait_until(lambda: publishing.frames > frames + 5, 60)
        assert publishing.worker.health.dropped > 0
        server.send_signal(signal.SIGCONT)
        wait_until(lambda: publishing.worker.health.reconnects == 1, 60)
        publishing.wait_for(5)
        publishing.end()


@pytest.mark.parametrize(
    "url", ["ftp://user:s3cret@127.0.0.1/x", "udp://127.0.0.1", "rtsp:///x", "rtmp://[x/y"]
)
def test_what_cannot_be_published_to_is_told(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_publisher(url, options=PublishOptions(), notices=Notices())
    assert "s3cret" not in str(caught.value)
