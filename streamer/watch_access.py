"""Access: who may look at the console and the metrics."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Final

from engines.errors import ConfigError
from streamer.config_watch import is_loopback

__all__ = ["SESSION_S", "Access", "read_token"]

SESSION_S: Final = 12 * 3600.0
_COOKIE: Final = "veilstream_session"
_MOST_SESSIONS: Final = 64
_SHORTEST_TOKEN: Final = 16


def read_token(path: Path) -> str:
    """The token in a file; white space around it is ignored.

    Raises:
        ConfigError: it cannot be read, or is too short to withstand guessing.
    """
    try:
        token = path.read_text(encoding="utf-8").strip()
    except OSError as exc:
        raise ConfigError(f"token file {path} cannot be read: {exc.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"token file {path} is not UTF-8 text") from None
    if len(token) < _SHORTEST_TOKEN:
        raise ConfigError(
            f"the token in {path} has {len(token)} characters, at least {_SHORTEST_TOKEN} are "
            "needed; make one with: openssl rand -hex 24"
        )
    return token


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


class Access:
    """Checks tokens and remembers sessions. All methods are thread-safe.

    Args:
        token: what must be shown; None lets everybody in who reaches the server.
        now: monotonic clock in seconds.
        random_text: makes session names.
    """

    def __init__(
        self,
        token: str | None,
        *,
        now: Callable[[], float] = time.monotonic,
        random_text: Callable[[], str] = secrets.token_urlsafe,
    ) -> None:
        self._token = None if token is None else _digest(token)
        self._now, self._random_text = now, random_text
        self._lock = threading.Lock()
        # Digests only: what lies in memory opens nothing.
        self._sessions: OrderedDict[bytes, float] = OrderedDict()

    @property
    def needs_token(self) -> bool:
        """Whether a token must be shown."""
        return self._token is not None

    def is_allowed(self, authorization: str | None, cookie: str | None) -> bool:
        """Whether a request may see everything.

        Args:
            authorization: header "Authorization", None when there is none.
            cookie: header "Cookie", None when there is none.
        """
        if self._token is None:
            return True
        kind, _, value = (authorization or "").partition(" ")
        if kind.lower() == "bearer" and self._is_token(value.strip()):
            return True
        return self._is_session(_session_of(cookie))

    def is_host(self, host: str | None) -> bool:
        """Whether the "Host" header names this machine.

        Without a token, a page elsewhere could otherwise reach us through a name of its own that
        it points at 127.0.0.1.
        """
        if self._token is not None:
            return True
        name = (host or "").rpartition(":")[0] if not (host or "").endswith("]") else host or ""
        return is_loopback((name or host or "").removeprefix("[").removesuffix("]"))

    def log_in(self, token: str) -> str | None:
        """A "Set-Cookie" value for whoever knows the token, otherwise None."""
        if not self._is_token(token):
            return None
        session = self._random_text()
        with self._lock:
            self._sessions[_digest(session)] = self._now() + SESSION_S
            while len(self._sessions) > _MOST_SESSIONS:
                self._sessions.popitem(last=False)
        return f"{_COOKIE}={session}; HttpOnly; SameSite=Strict; Path=/; Max-Age={SESSION_S:.0f}"

    def log_out(self, cookie: str | None) -> str:
        """End a session; a "Set-Cookie" value that makes the browser forget it."""
        with self._lock:
            self._sessions.pop(_digest(_session_of(cookie)), None)
        return f"{_COOKIE}=; HttpOnly; SameSite=Strict; Path=/; Max-Age=0"

    def _is_token(self, shown: str) -> bool:
        # Digests have one length, so the comparison does not tell how long the token is.
        return self._token is not None and hmac.compare_digest(self._token, _digest(shown))

    def _is_session(self, session: str) -> bool:
        with self._lock:
            end_s = self._sessions.get(_digest(session))
        return bool(session) and end_s is not None and self._now() < end_s


def _session_of(cookie: str | None) -> str:
    try:
        found = SimpleCookie(cookie or "").get(_COOKIE)
    except CookieError:
        return ""
    return "" if found is None else found.value
