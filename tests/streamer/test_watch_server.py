"""The watch server over real connections: who sees what, and that viewers harm nobody."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from engines.errors import ConfigError
from streamer.blender import BlendResult
from streamer.camera_board import CameraBoard
from streamer.camera_status import CameraStatus
from streamer.config_watch import SiteWatchConfig, WatchConfig
from streamer.watch_access import SESSION_S, Access, read_token
from streamer.watch_server import WatchServer, open_watch_server
from tests.factories import make_frame
from tests.media import anonymized

pytestmark = pytest.mark.network

_TOKEN = "correct-horse-battery-staple"


def put_out(status: CameraStatus, value: int = 128) -> None:
    """Let a camera put a grey picture out."""
    frame = anonymized(make_frame(size_hw=(90, 160), value=value))
    status.arrived()
    status.put_out(BlendResult(frame, frozenset({1}), frozenset(), {}), 0.2)


@contextmanager
def _server(
    board: CameraBoard, token: str | None = None, *, previews: bool = True
) -> Iterator[WatchServer]:
    config = WatchConfig(previews=previews, preview_fps=30)
    with WatchServer(("127.0.0.1", 0), board, Access(token), config) as server:
        yield server


def _get(
    server: WatchServer, path: str, headers: dict[str, str] | None = None, method: str = "GET"
) -> tuple[int, bytes, http.client.HTTPMessage]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    try:
        body = (headers or {}).pop("body", None) if headers else None
        connection.request(method, path, body=body, headers=headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read(), answer.headers
    finally:
        connection.close()


@pytest.fixture
def board() -> CameraBoard:
    board, status = CameraBoard(), CameraStatus("gate 1/north")
    put_out(status)
    board.add(status)
    return board


def test_everything_is_served_to_this_machine(board: CameraBoard) -> None:
    with _server(board) as server:
        assert b"<title>veilstream</title>" in _get(server, "/")[1]
        assert b"veilstream_frames_out_total" in _get(server, "/metrics")[1]
        assert _get(server, "/healthz")[:2] == (200, b"ok\n")
        assert _get(server, "/readyz")[:2] == (200, b"ok\n")
        facts = json.loads(_get(server, "/cameras.json")[1])
        assert facts["cameras"][0]["name"] == "gate 1/north"
        assert facts["cameras"][0]["latency_ms"]["p95"] > 0
        assert _get(server, "/nothing")[0] == 404
        assert "default-src 'none'" in _get(server, "/")[2]["Content-Security-Policy"]


def test_the_preview_shows_what_was_put_out(board: CameraBoard) -> None:
    with _server(board) as server:
        status, data, headers = _get(server, "/preview/gate%201%2Fnorth.jpg")
        assert (status, headers["Content-Type"]) == (200, "image/jpeg")
        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
        assert picture is not None
        assert picture.shape == (90, 160, 3)
        assert _get(server, "/preview/other.jpg")[0] == 404
        assert _get(server, "/preview/..%2F..%2Fetc%2Fpasswd.jpg")[0] == 404


def test_the_stream_goes_on_and_ends_with_the_server(board: CameraBoard) -> None:
    with _server(board) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", "/preview/gate%201%2Fnorth.mjpg")
        answer = connection.getresponse()
        assert "multipart/x-mixed-replace" in answer.headers["Content-Type"]
        seen = b""
        while seen.count(b"\xff\xd8\xff") < 3:
            seen += answer.read1(4096)
    end_s = time.monotonic() + 5
    while answer.read1(65536):
        assert time.monotonic() < end_s
    connection.close()


def test_a_camera_that_is_taken_away_ends_its_streams(board: CameraBoard) -> None:
    with _server(board) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", "/preview/gate%201%2Fnorth.mjpg")
        answer = connection.getresponse()
        assert answer.read1(1024)
        board.remove("gate 1/north")
        while answer.read1(65536):
            pass
        connection.close()


def test_previews_can_be_turned_off(board: CameraBoard) -> None:
    with _server(board, previews=False) as server:
        assert _get(server, "/preview/gate%201%2Fnorth.jpg")[0] == 404
        assert json.loads(_get(server, "/cameras.json")[1])["previews"] is False


@pytest.mark.parametrize(
    "path", ["/metrics", "/cameras.json", "/console.js", "/preview/gate%201%2Fnorth.jpg"]
)
def test_nothing_is_shown_without_the_token(board: CameraBoard, path: str) -> None:
    with _server(board, _TOKEN) as server:
        assert _get(server, path)[0] == 401
        assert _get(server, path, {"Authorization": "Bearer wrong"})[0] == 401
        assert _get(server, path, {"Authorization": f"Basic {_TOKEN}"})[0] == 401
        assert _get(server, path, {"Cookie": "veilstream_session=x"})[0] == 401
        assert _get(server, path, {"Authorization": f"Bearer {_TOKEN}"})[0] == 200


def test_a_browser_logs_in_and_out(board: CameraBoard) -> None:
    with _server(board, _TOKEN) as server:
        status, _, headers = _get(server, "/")
        assert (status, headers["Location"]) == (303, "/login")
        wrong = _get(server, "/login", {"body": "token=wrong"}, "POST")[2]
        assert wrong["Location"] == "/login?wrong"
        assert wrong["Set-Cookie"] is None
        right = _get(server, "/login", {"body": f"token={_TOKEN}"}, "POST")[2]
        assert _TOKEN not in right["Set-Cookie"]
        assert "HttpOnly" in right["Set-Cookie"]
        assert "SameSite=Strict" in right["Set-Cookie"]
        cookie = {"Cookie": right["Set-Cookie"].partition(";")[0]}
        assert _get(server, "/cameras.json", dict(cookie))[0] == 200
        _get(server, "/logout", {**cookie, "body": "x="}, "POST")
        assert _get(server, "/cameras.json", dict(cookie))[0] == 401


def test_a_log_out_ends_the_stream_too(board: CameraBoard) -> None:
    access = Access(_TOKEN)
    cookie = (access.log_in(_TOKEN) or "").partition(";")[0]
    config = WatchConfig(preview_fps=30)
    with WatchServer(("127.0.0.1", 0), board, access, config) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("GET", "/preview/gate%201%2Fnorth.mjpg", headers={"Cookie": cookie})
        answer = connection.getresponse()
        assert answer.read1(1024)
        access.log_out(cookie)
        while answer.read1(65536):
            pass
        connection.close()


def test_probes_are_open_but_tell_names_only_to_those_who_may_look() -> None:
    board, status = CameraBoard(), CameraStatus("secret place")
    status.state("reconnecting", "no answer")
    board.add(status)
    with _server(board, _TOKEN) as server:
        assert _get(server, "/healthz")[:2] == (200, b"ok\n")
        assert _get(server, "/readyz")[:2] == (503, b"unavailable\n")
        told = _get(server, "/readyz", {"Authorization": f"Bearer {_TOKEN}"})
        assert told[:2] == (503, b"unavailable\nsecret place: reconnecting (no answer)\n")


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("evil.example", 403),
        ("evil.example:80", 403),
        ("127.0.0.1:9464", 200),
        ("localhost", 200),
        ("[::1]:9464", 200),
        ("[::1]", 200),
        ("10.0.0.1:9464", 403),
    ],
)
def test_other_names_for_this_machine_are_refused(
    board: CameraBoard, host: str, status: int
) -> None:
    with _server(board) as server:
        assert _get(server, "/cameras.json", {"Host": host})[0] == status


def test_a_long_form_is_refused(board: CameraBoard) -> None:
    with _server(board, _TOKEN) as server:
        body = "token=" + "x" * 5000
        assert _get(server, "/login", {"body": body}, "POST")[0] == 400


def test_silent_connections_do_not_lock_others_out(board: CameraBoard) -> None:
    with _server(board) as server:
        silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(20)]
        assert _get(server, "/healthz")[0] == 200
        for one in silent:
            one.close()


def test_an_address_in_use_is_a_configuration_error(board: CameraBoard) -> None:
    with (
        _server(board) as server,
        pytest.raises(ConfigError, match="cannot be used"),
        open_watch_server(WatchConfig(listen=f"127.0.0.1:{server.port}"), board),
    ):
        pass


def test_nothing_is_served_unless_asked_for(board: CameraBoard) -> None:
    with open_watch_server(WatchConfig(), board) as server:
        assert server is None


def test_other_machines_need_a_token() -> None:
    for listen in ("0.0.0.0:9464", "192.0.2.1:9464", "camera-box:9464", "[::]:9464"):
        with pytest.raises(ValidationError, match="token_file"):
            WatchConfig(listen=listen)
        assert WatchConfig(listen=listen, token_file=Path("token")).listen == listen
    for listen in ("127.0.0.1:9464", "localhost:1", "[::1]:2", ":9464"):
        assert WatchConfig(listen=listen).listen == listen


def test_a_site_is_served_to_this_machine_by_default() -> None:
    assert SiteWatchConfig(previews=False).listen == "127.0.0.1:9464"
    assert SiteWatchConfig(listen=None).listen is None


def test_a_short_token_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("1234\n")
    with pytest.raises(ConfigError, match="at least 16"):
        read_token(path)
    path.write_text(f"  {_TOKEN}\n")
    assert read_token(path) == _TOKEN
    with pytest.raises(ConfigError, match="cannot be read"):
        read_token(tmp_path / "missing")


def test_sessions_end_and_are_bounded() -> None:
    now_s = [0.0]
    names = iter(f"session{number}" for number in range(1000))
    access = Access(_TOKEN, now=lambda: now_s[0], random_text=lambda: next(names))
    first = access.log_in(_TOKEN) or ""
    assert access.is_allowed(None, first.partition(";")[0])
    now_s[0] = SESSION_S + 1
    assert not access.is_allowed(None, first.partition(";")[0])
    now_s[0] = 0
    for _ in range(100):
        access.log_in(_TOKEN)
    assert not access.is_allowed(None, first.partition(";")[0])
    assert access.is_allowed(None, "veilstream_session=session99")
    assert not access.is_allowed(None, 'veilstream_session="; broken')
