"""Whether the machine behind an address answers: a cheap look before a whole connection."""

from __future__ import annotations

import socket
from typing import Final
from urllib.parse import urlsplit

__all__ = ["answers"]

# None: such an address always names its port.
_PORTS: Final = {
    "rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "rtmp": 1935, "rtmps": 443, "tcp": None,
}  # fmt: skip
_TIMEOUT_S: Final = 0.3


def answers(url: str) -> bool | None:
    """Whether something accepts connections there; None where that cannot be asked (UDP, files).

    The connection is closed at once, and nothing is said on it: no login is tried.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or _PORTS.get(parts.scheme.lower())
    except ValueError:
        return None
    if parts.scheme.lower() not in _PORTS or not parts.hostname or port is None:
        return None
    try:
        with socket.create_connection((parts.hostname, port), timeout=_TIMEOUT_S):
            return True
    except OSError:
        return False
