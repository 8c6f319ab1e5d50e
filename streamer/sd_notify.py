"""Notifications to systemd: ready, still alive, stopping. Without systemd nothing happens.

The protocol is one datagram of NAME=VALUE lines to the socket that NOTIFY_SOCKET names.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping

__all__ = ["SystemdNotifier"]


class SystemdNotifier:
    """Tells systemd how the service is. Not thread-safe.

    Args:
        environment: the process's own when None.
    """

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        env = os.environ if environment is None else environment
        address = env.get("NOTIFY_SOCKET", "")
        # A leading @ stands for the NUL of an abstract socket.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_s = _watchdog_s(env)

    @property
    def interval_s(self) -> float | None:
        """How often `alive` should be called: twice in the time-out; None without a watchdog."""
        return None if self._watchdog_s is None else self._watchdog_s / 2

    def ready(self) -> None:
        """The service has started."""
        self._send("READY=1")

    def reloading(self, monotonic_us: int) -> None:
        """The configuration is being read again; `ready` ends that."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={monotonic_us}")

    def alive(self) -> None:
        """The main loop turns; without it systemd restarts the service."""
        self._send("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._send("STATUS=" + text.replace("\n", " "))

    def stopping(self) -> None:
        """The service is about to end."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A socket that has gone is no reason to stop watching cameras.
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
        ):
            sender.sendto(message.encode(), self._address)


def _watchdog_s(env: Mapping[str, str]) -> float | None:
    """The watchdog's time-out, if it is meant for this process."""
    try:
        timeout_us, pid = int(env.get("WATCHDOG_USEC", "0")), env.get("WATCHDOG_PID", "")
    except ValueError:
        return None
    if timeout_us <= 0 or (pid and pid != str(os.getpid())):
        return None
    return timeout_us / 1e6
