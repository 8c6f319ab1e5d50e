"""Cameras that are no RTSP servers, for tests: HTTP, HLS, TCP and UDP on the loopback interface."""

from __future__ import annotations

import base64
import itertools
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import cv2
import numpy as np

from tests.media import pattern

__all__ = ["http_server", "mjpeg_pages", "playlist_pages", "tcp_camera", "udp_sender"]

Page = Callable[[BaseHTTPRequestHandler], None]
_BOUNDARY = "frame"


@contextmanager
def http_server(
    pages: dict[str, Page],
    *,
    login: str | None = None,
    on_request: Callable[[], object] = lambda: None,
) -> Iterator[int]:
    """Serve pages; asks for basic authentication when there is a login (USER:PASSWORD)."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            on_request()
            wanted = None if login is None else "Basic " + base64.b64encode(login.encode()).decode()
            page = pages.get(self.path)
            if wanted is not None and self.headers.get("Authorization") != wanted:
                self.send_response(401)
                self.send_header("WWW-Authenticate", 'Basic realm="camera"')
                self.end_headers()
            elif page is None:
                self.send_error(404)
            else:
                try:
                    page(self)
                except (BrokenPipeError, ConnectionResetError):
                    return  # whoever watched has gone

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)


def mjpeg_pages(rate_hz: float, count: int) -> dict[str, Page]:
    """A camera that sends JPEG pictures one after the other, with no time in them."""

    def stream(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        kind = f"multipart/x-mixed-replace; boundary={_BOUNDARY}"
        handler.send_header("Content-Type", kind)
        handler.end_headers()
        for index in range(count):
            done, jpeg = cv2.imencode(".jpg", np.asarray(pattern(index, (96, 128))))
            assert done
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n"
            handler.wfile.write(head.encode() + b"\r\n" + jpeg.tobytes() + b"\r\n")
            handler.wfile.flush()
            time.sleep(1 / rate_hz)

    return {"/mjpeg": stream}


def _file_page(data: bytes, kind: str) -> Page:
    def send(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", kind)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    return send


def playlist_pages(segments: list[Path], seconds: float) -> dict[str, Page]:
    """A live HLS stream that stays at these segments."""
    lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{int(seconds) + 1}"]
    lines.append("#EXT-X-MEDIA-SEQUENCE:0")
    pages = {}
    for number, path in enumerate(segments):
        lines += [f"#EXTINF:{seconds:.3f},", f"{number}.ts"]
        pages[f"/{number}.ts"] = _file_page(path.read_bytes(), "video/mp2t")
    playlist = "\n".join(lines) + "\n"
    pages["/live.m3u8"] = _file_page(playlist.encode(), "application/vnd.apple.mpegurl")
    evil = f"{lines[0]}\n{lines[2]}\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
    pages["/evil.m3u8"] = _file_page(evil.encode(), "application/vnd.apple.mpegurl")
    return pages


@contextmanager
def tcp_camera(
    send: Callable[[socket.socket, int], None], *, answers: int | None = None, port: int = 0
) -> Iterator[str]:
    """A server that lets `send` serve each caller, numbered from 0, and then hangs up.

    After so many answers nobody listens there any more.
    """
    server = socket.create_server(("127.0.0.1", port))
    address = server.getsockname()

    def serve() -> None:
        for number in itertools.count() if answers is None else range(answers):
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, suppress(OSError):  # hung up on
                send(connection, number)
        server.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield f"tcp://127.0.0.1:{address[1]}"
    finally:
        with suppress(OSError):  # closed already
            server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join(timeout=5)


@contextmanager
def udp_sender(path: Path, port: int, seconds: float) -> Iterator[None]:
    """Send a transport stream to a port, over and over, one pass in so many seconds."""
    data, stop = path.read_bytes(), threading.Event()
    pieces = [data[at : at + 7 * 188] for at in range(0, len(data), 7 * 188)]

    def send() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not stop.is_set():
                for piece in pieces:
                    sender.sendto(piece, ("127.0.0.1", port))
                    if stop.wait(seconds / len(pieces)):
                        return

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(timeout=5)
