"""KeyRotation: when a running recording's key log gets a new key."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["KeyRotation", "rotate_on_signal"]


class KeyRotation:
    """After a time, and whenever somebody asks. Safe to use from several threads and signals.

    Args:
        every_s: seconds from one rotation to the next, None for only when asked.
        now: monotonic clock in seconds.
    """

    def __init__(self, every_s: float | None, *, now: Callable[[], float] = time.monotonic) -> None:
        if every_s is not None and every_s <= 0:
            raise ValueError(f"keys cannot be rotated every {every_s} s")
        self._every_s = every_s
        self._now = now
        self._since_s = now()
        # An event may be set in a signal handler; a lock could be held by what was interrupted.
        self._is_asked = threading.Event()

    def ask(self) -> None:
        """Rotate at the next frame."""
        self._is_asked.set()

    def take(self) -> bool:
        """Whether it is time; if so, the time until the next rotation begins anew."""
        now_s = self._now()
        is_over = self._every_s is not None and now_s - self._since_s >= self._every_s
        if not is_over and not self._is_asked.is_set():
            return False
        self._is_asked.clear()
        self._since_s = now_s
        return True


@contextmanager
def rotate_on_signal(rotation: KeyRotation) -> Iterator[KeyRotation]:
    """Let SIGUSR1 ask for a rotation; outside the main thread signals are left alone."""
    if threading.current_thread() is not threading.main_thread():
        yield rotation
        return
    before = signal.signal(signal.SIGUSR1, lambda *_: rotation.ask())
    try:
        yield rotation
    finally:
        signal.signal(signal.SIGUSR1, before)
