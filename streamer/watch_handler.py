"""WatchHandler: one HTTP connection of somebody who watches."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from importlib import resources
from typing import TYPE_CHECKING, Any, Final, cast
from urllib.parse import parse_qs, unquote, urlsplit

from streamer.camera_board import CameraEntry
from streamer.health import Verdict, liveness, readiness
from streamer.metrics import CONTENT_TYPE

if TYPE_CHECKING:
    from streamer.watch_server import WatchServer

__all__ = ["WatchHandler"]

_log = logging.getLogger(__name__)

_BOUNDARY: Final = "veilstream-picture"
_LONGEST_FORM: Final = 1024
# Slows down guessing; one connection can try twice a second.
_WRONG_TOKEN_WAIT_S: Final = 0.5
_FILES: Final = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/console.css": ("console.css", "text/css; charset=utf-8"),
    "/console.js": ("console.js", "text/javascript; charset=utf-8"),
    "/login": ("login.html", "text/html; charset=utf-8"),
}
# The login page needs its style before there is a session.
_OPEN_PATHS: Final = ("/login", "/console.css")
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; "
    "script-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Cache-Control": "no-store",
}


class WatchHandler(BaseHTTPRequestHandler):
    """Answers the requests of one connection, in its own thread."""

    protocol_version = "HTTP/1.1"
    # A slow or silent peer is hung up on after so many seconds.
    timeout = 15

    @property
    def _watch(self) -> WatchServer:
        return cast("WatchServer", self.server)

    def version_string(self) -> str:
        """Nothing about versions."""
        return "veilstream"

    def log_message(self, format: str, *args: object) -> None:
        """Requests are of no interest, and their paths may hold what somebody mistyped."""
        _log.debug("%s from %s", self.command, self.client_address[0])

    def do_GET(self) -> None:
        """Answer a page, a picture or figures."""
        path = urlsplit(self.path).path
        probes: dict[str, Callable[[], Verdict]] = {
            "/healthz": lambda: liveness(self._watch.board.snapshots()),
            "/readyz": lambda: readiness(self._watch.board.snapshots()),
        }
        if not self._watch.access.is_host(self.headers.get("Host")):
            self._text(HTTPStatus.FORBIDDEN, "this address is not served here\n")
        elif path in probes:
            self._probe(probes[path]())
        elif path not in _OPEN_PATHS and not self._is_allowed():
            self._turn_away(path)
        elif path in _FILES:
            name, kind = _FILES[path]
            data = (resources.files("streamer") / "console" / name).read_bytes()
            self._answer(HTTPStatus.OK, data, kind)
        elif path == "/metrics":
            self._answer(HTTPStatus.OK, self._watch.metrics.text(), CONTENT_TYPE)
        elif path == "/cameras.json":
            self._answer(HTTPStatus.OK, self._cameras(), "application/json")
        elif path.startswith("/preview/"):
            self._preview(unquote(path.removeprefix("/preview/")))
        else:
            self._text(HTTPStatus.NOT_FOUND, "there is nothing here\n")

    def do_POST(self) -> None:
        """Log in and out."""
        path, access = urlsplit(self.path).path, self._watch.access
        form = self._read_form()
        if form is None:
            return
        if path == "/login":
            cookie = access.log_in(form.get("token", [""])[0])
            if cookie is None:
                time.sleep(_WRONG_TOKEN_WAIT_S)
                self._redirect("/login?wrong", None)
            else:
                self._redirect("/", cookie)
        elif path == "/logout":
            self._redirect("/login", access.log_out(self.headers.get("Cookie")))
        else:
            self._text(HTTPStatus.NOT_FOUND, "there is nothing here\n")

    def _read_form(self) -> dict[str, list[str]] | None:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > _LONGEST_FORM:
            self.close_connection = True
            self._text(HTTPStatus.BAD_REQUEST, "the form is too long\n")
            return None
        return parse_qs(self.rfile.read(int(length)).decode("utf-8", "replace"))

    def _is_allowed(self) -> bool:
        headers = self.headers
        return self._watch.access.is_allowed(headers.get("Authorization"), headers.get("Cookie"))

    def _turn_away(self, path: str) -> None:
        if path == "/":
            self._redirect("/login", None)
        else:
            self._text(
                HTTPStatus.UNAUTHORIZED, "a token is needed\n", {"WWW-Authenticate": "Bearer"}
            )

    def _probe(self, verdict: Verdict) -> None:
        """Everybody may ask; names and reasons are for those who may look."""
        status = HTTPStatus.OK if verdict.is_good else HTTPStatus.SERVICE_UNAVAILABLE
        lines = ["ok" if verdict.is_good else "unavailable"]
        if self._is_allowed():
            lines += verdict.reasons
        self._text(status, "\n".join(lines) + "\n")

    def _cameras(self) -> bytes:
        cameras: list[dict[str, Any]] = []
        for camera in self._watch.board.snapshots():
            quantiles = {f"p{q}": camera.latency.quantile_s(q / 100) * 1e3 for q in (50, 95, 99)}
            cameras.append({**camera.to_dict(), "latency_ms": quantiles})
        facts = {
            "cameras": cameras,
            "previews": self._watch.config.previews,
            "needs_token": self._watch.access.needs_token,
        }
        return json.dumps(facts).encode()

    def _preview(self, name: str) -> None:
        stem, _, kind = name.rpartition(".")
        camera = self._watch.board.get(stem) if self._watch.config.previews else None
        if camera is None or kind not in ("jpg", "mjpg"):
            self._text(HTTPStatus.NOT_FOUND, "there is no such picture\n")
            return
        if kind == "mjpg":
            self._stream(camera)
            return
        picture = self._watch.picture(camera)
        if picture is None:
            self._text(HTTPStatus.NOT_FOUND, "there is no picture yet\n")
        else:
            self._answer(HTTPStatus.OK, picture, "image/jpeg")

    def _stream(self, camera: CameraEntry) -> None:
        """Pictures until the viewer leaves; slow viewers get fewer of them."""
        if not self._watch.streams.acquire(blocking=False):
            self._text(HTTPStatus.SERVICE_UNAVAILABLE, "too many viewers\n")
            return
        try:
            self.close_connection = True
            self.send_response(HTTPStatus.OK)
            self._send_headers(f"multipart/x-mixed-replace; boundary={_BOUNDARY}", {})
            while self._may_go_on(camera):
                picture = self._watch.picture(camera)
                if picture is not None:
                    head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\n"
                    head += f"Content-Length: {len(picture)}\r\n\r\n"
                    self.wfile.write(head.encode() + picture + b"\r\n")
                self._watch.stopping.wait(1 / self._watch.config.preview_fps)
        finally:
            self._watch.streams.release()

    def _may_go_on(self, camera: CameraEntry) -> bool:
        """Whether the viewer may still look, and the camera is still there."""
        watch = self._watch
        is_there = watch.board.get(camera.name) is camera
        return is_there and not watch.stopping.is_set() and self._is_allowed()

    def _text(self, status: HTTPStatus, text: str, headers: dict[str, str] | None = None) -> None:
        self._answer(status, text.encode(), "text/plain; charset=utf-8", headers)

    def _redirect(self, target: str, cookie: str | None) -> None:
        headers = {"Location": target, **({} if cookie is None else {"Set-Cookie": cookie})}
        self._answer(HTTPStatus.SEE_OTHER, b"", "text/plain", headers)

    def _answer(
        self, status: HTTPStatus, data: bytes, kind: str, headers: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self._send_headers(kind, {"Content-Length": str(len(data)), **(headers or {})})
        self.wfile.write(data)

    def _send_headers(self, kind: str, headers: dict[str, str]) -> None:
        for name, value in {"Content-Type": kind, **_HEADERS, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
