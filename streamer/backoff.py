"""Back-off: how long to wait before a camera is tried again."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

__all__ = ["Backoff", "BackoffOptions"]

# Without a state: threads that wait do not change the process's generator under others.
_UNIFORM: Final = random.SystemRandom().uniform


@dataclass(frozen=True, slots=True)
class BackoffOptions:
    """Waiting times between attempts.

    Attributes:
        first_s: before the second attempt.
        factor: by which each wait grows.
        longest_s: limit of the growth.
        jitter_ratio: each wait is changed by up to this share, so that cameras that died together
            are not asked all at once.
    """

    first_s: float = 0.25
    factor: float = 2.0
    longest_s: float = 1.0
    jitter_ratio: float = 0.2


class Backoff:
    """Doubling waits with a cap and jitter. Not thread-safe.

    Args:
        options: waiting times.
        uniform: random number in a range; injected so that tests are exact.
    """

    def __init__(
        self,
        options: BackoffOptions,
        *,
        uniform: Callable[[float, float], float] = _UNIFORM,
    ) -> None:
        self._options = options
        self._uniform = uniform
        self._next_s = options.first_s

    def next_wait_s(self) -> float:
        """The next wait in seconds."""
        options, wait_s = self._options, self._next_s
        self._next_s = min(wait_s * options.factor, options.longest_s)
        return wait_s * (1.0 + self._uniform(-options.jitter_ratio, options.jitter_ratio))

    def reset(self) -> None:
        """Start over, after the camera has answered."""
        self._next_s = self._options.first_s
