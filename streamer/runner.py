"""StageRunner: threads of a pipeline, where the first error stops all and is the one raised."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Protocol

from streamer.channel import Cancelled

__all__ = ["StageRunner"]


class Cancellable(Protocol):
    """Anything that wakes its waiters with `Cancelled`."""

    def cancel(self) -> None:
        """Wake everybody."""
        ...


class StageRunner:
    """Runs one thread per stage and joins them.

    Args:
        channels: cancelled as soon as one stage fails, so that the others end too.
    """

    def __init__(self, *channels: Cancellable) -> None:
        self._channels = channels
        self._stages: list[tuple[str, Callable[[], None]]] = []
        self._lock = threading.Lock()
        self._first_error: BaseException | None = None

    def add(self, name: str, work: Callable[[], None]) -> None:
        """Add a stage; `name` is what an error of it is labelled with."""
        self._stages.append((name, work))

    def cancel(self) -> None:
        """Stop all stages as soon as they touch a channel."""
        for channel in self._channels:
            channel.cancel()

    def run(self) -> None:
        """Start every stage and wait for the last one.

        Raises:
            BaseException: the first error of any stage, with a note that names the stage.
        """
        threads = [
            threading.Thread(target=self._guard, args=stage, name=stage[0], daemon=True)
            for stage in self._stages
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                # A time-out lets the main thread receive signals on every platform.
                thread.join(timeout=0.2)
        if self._first_error is not None:
            raise self._first_error

    def _guard(self, name: str, work: Callable[[], None]) -> None:
        try:
            work()
        except Cancelled:
            # Another stage failed first; its error is the one to report.
            return
        except BaseException as exc:  # nothing narrower: whatever ends a thread must reach main
            with self._lock:
                if self._first_error is None:
                    exc.add_note(f"in stage {name}")
                    self._first_error = exc
            self.cancel()
