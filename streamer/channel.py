"""Channel: a bounded, closable, cancellable hand-over between two threads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

__all__ = ["Cancelled", "Channel"]

T = TypeVar("T")


class Cancelled(Exception):  # noqa: N818 - a control signal, not an error
    """The channel was cancelled; the thread that sees it ends quietly."""


class Channel(Generic[T]):
    """A bounded queue between threads; any number of senders and receivers.

    Args:
        capacity: most items held at once.
        drop_oldest: `send` discards the oldest item instead of waiting.
        may_drop: which items may be discarded; `send` waits while none of those held may.
    """

    def __init__(
        self,
        capacity: int,
        *,
        drop_oldest: bool = False,
        may_drop: Callable[[T], bool] = lambda item: True,
    ) -> None:
        if capacity < 1:
            raise ValueError(f"capacity must be at least 1, got {capacity}")
        self._capacity = capacity
        self._drop_oldest = drop_oldest
        self._may_drop = may_drop
        self._items: deque[T] = deque()
        self._condition = threading.Condition()
        self._closed = False
        self._cancelled = False
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """How many items were discarded so far."""
        return self._dropped

    def __len__(self) -> int:
        return len(self._items)

    def send(self, item: T) -> None:
        """Hand an item over; waits while the channel is full.

        Raises:
            Cancelled: the channel was cancelled.
            ValueError: the channel was closed.
        """
        with self._condition:
            while len(self._items) >= self._capacity and not self._cancelled:
                if self._drop_oldest and self._discard_one():
                    break
                self._condition.wait()
            if self._cancelled:
                raise Cancelled
            if self._closed:
                raise ValueError("send on a closed channel")
            self._items.append(item)
            self._condition.notify_all()

    def _discard_one(self) -> bool:
        for position, item in enumerate(self._items):
            if self._may_drop(item):
                del self._items[position]
                self._dropped += 1
                return True
        return False

    def __iter__(self) -> Iterator[T]:
        """Items until the channel is closed and empty.

        Raises:
            Cancelled: the channel was cancelled.
        """
        while True:
            with self._condition:
                while not self._items and not self._closed and not self._cancelled:
                    self._condition.wait()
                if self._cancelled:
                    raise Cancelled
                if not self._items:
                    return
                item = self._items.popleft()
                self._condition.notify_all()
            yield item

    def receive(self, timeout_s: float) -> T | None:
        """The next item; None when none came in time, or none will come (`is_finished`).

        Raises:
            Cancelled: the channel was cancelled.
        """
        with self._condition:
            self._condition.wait_for(
                lambda: self._items or self._closed or self._cancelled, timeout_s
            )
            if self._cancelled:
                raise Cancelled
            if not self._items:
                return None
            item = self._items.popleft()
            self._condition.notify_all()
            return item

    @property
    def is_finished(self) -> bool:
        """Whether the channel was closed and everything was received."""
        with self._condition:
            return self._closed and not self._items

    def close(self) -> None:
        """No more items will come; receivers drain what is left."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def cancel(self) -> None:
        """Empty the channel and wake everybody with `Cancelled`."""
        with self._condition:
            self._cancelled = True
            self._items.clear()
            self._condition.notify_all()
