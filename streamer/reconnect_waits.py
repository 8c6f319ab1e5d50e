"""ReconnectWaits: the time between two attempts to reach a camera."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from engines.errors import MediaError, SourceRefusedError, SourceSilentError
from streamer.backoff import Backoff, BackoffOptions
from streamer.interrupt import StopRequest
from streamer.source_reach import answers

__all__ = ["ReconnectWaits"]

_STEP_S: Final = 0.1
# How often a port that was silent is looked at during a longer wait.
_LOOK_EVERY_S: Final = 0.25


class ReconnectWaits:
    """Waits that grow, and end early when a stop is asked for. Not thread-safe.

    Args:
        url: the camera.
        backoff: waits between attempts.
        refused_wait_s: longest of them while the camera refuses user and password.
        stop: ends every wait.
        now: monotonic clock in seconds.
        sleep: waits for some seconds.
        answers: whether an address accepts connections, None where that cannot be asked.
    """

    def __init__(
        self,
        url: str,
        *,
        backoff: BackoffOptions,
        refused_wait_s: float,
        stop: StopRequest,
        now: Callable[[], float],
        sleep: Callable[[float], None],
        answers: Callable[[str], bool | None] = answers,
    ) -> None:
        self._url = url
        self._backoff = Backoff(backoff)
        self._refused = Backoff(replace(backoff, longest_s=refused_wait_s))
        self._stop = stop
        self._now, self._sleep = now, sleep
        self._answers = answers

    def reset(self) -> None:
        """Start over, after a connection that held."""
        self._backoff.reset()
        self._refused.reset()

    def after(self, failure: type[MediaError]) -> None:
        """Wait for the next attempt.

        While the camera refuses user and password it is asked more and more seldom. A silent port
        is looked at meanwhile, and the wait ends when it answers: a camera that comes back is seen
        at once, however long the waits are. One whose port answers all the time (a stall, a relay)
        is waited for as long as they say.

        Args:
            failure: what ended the last attempt.
        """
        if issubclass(failure, SourceRefusedError):
            self.wait(self._refused.next_wait_s())
        elif issubclass(failure, SourceSilentError):
            self._wait_for_answer(self._backoff.next_wait_s())
        else:
            self.wait(self._backoff.next_wait_s())

    def _wait_for_answer(self, wait_s: float) -> None:
        end_s = self._now() + wait_s
        while (left_s := end_s - self._now()) > 0 and not self._stop.is_set():
            self.wait(min(left_s, _LOOK_EVERY_S))
            if left_s > _LOOK_EVERY_S and self._answers(self._url):
                # It may listen before it has pictures: the next waits are short ones.
                self._backoff.reset()
                return

    def wait(self, wait_s: float) -> None:
        """Sleep in short steps, so that a stop is noticed."""
        end_s = self._now() + wait_s
        while (left_s := end_s - self._now()) > 0 and not self._stop.is_set():
            self._sleep(min(left_s, _STEP_S))
