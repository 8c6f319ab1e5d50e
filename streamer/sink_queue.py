"""OutputQueue: what waits for one output, bounded, and which of it is dropped when it is full."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from fractions import Fraction

from streamer.backoff import BackoffOptions
from streamer.frames import CopiedPacket
from streamer.sink_coded import CodedPicture
from streamer.sink_items import Cut, OutputItem

__all__ = ["OutputQueue", "WorkerOptions"]


@dataclass(frozen=True, slots=True)
class WorkerOptions:
    """Limits of the queue.

    Attributes:
        most_s: longest stretch of video that waits.
        most_bytes: most bytes that wait.
        keeps_oldest: when full, refuse what comes (a recording) instead of dropping what waits
            (somebody who watches).
        backoff: waits between attempts.
    """

    most_s: float = 3.0
    most_bytes: int = 32 << 20
    keeps_oldest: bool = False
    backoff: BackoffOptions = field(default_factory=BackoffOptions)


class OutputQueue:
    """Holds items in order. Not thread-safe; its owner locks.

    After anything was dropped, everything up to the next key frame is dropped too: the pictures
    in between could not be decoded. Cuts are never dropped while they matter.

    Args:
        options: limits and policy.

    Attributes:
        is_listening: False refuses everything but cuts.
        dropped: items that were dropped so far.
    """

    def __init__(self, options: WorkerOptions, *, is_listening: bool) -> None:
        self._options = options
        self._items: deque[OutputItem] = deque()
        self._bytes = 0
        self._needs_key = True
        self.is_listening = is_listening
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._items)

    def offer(self, item: OutputItem) -> bool:
        """Take an item or drop it.

        Returns:
            True when a key frame is wanted soon, because what waited was dropped.
        """
        if isinstance(item, Cut):
            self._items.append(item)
            return False
        if not self.is_listening:
            self.dropped += 1
            return False
        was_full = self._is_full(item)
        if was_full:
            self._needs_key = True
            if not self._options.keeps_oldest:
                self.clear()
        is_key = isinstance(item, CodedPicture) and item.is_keyframe
        if (was_full and self._options.keeps_oldest) or (self._needs_key and not is_key):
            self.dropped += 1
        else:
            self._needs_key = False
            self._items.append(item)
            self._bytes += len(item.data)
        return was_full and not self._options.keeps_oldest

    def _is_full(self, item: CodedPicture | CopiedPacket) -> bool:
        if self._bytes + len(item.data) > self._options.most_bytes:
            return True
        first = next((one for one in self._items if isinstance(one, CodedPicture)), None)
        if first is None or not isinstance(item, CodedPicture):
            return False
        return (item.pts - first.pts) * item.time_base > Fraction(self._options.most_s)

    def take(self) -> OutputItem:
        """The oldest item; there must be one."""
        item = self._items.popleft()
        if not isinstance(item, Cut):
            self._bytes -= len(item.data)
        return item

    def take_cut(self) -> Cut | None:
        """The first cut, and nothing that came before it; None when there is none."""
        if not any(isinstance(one, Cut) for one in self._items):
            return None
        while not isinstance(item := self.take(), Cut):
            self.dropped += 1
        return item

    def put_back(self, cut: Cut) -> None:
        """Return a cut that was taken."""
        self._items.appendleft(cut)

    def clear(self, *, with_cuts: bool = False) -> None:
        """Drop everything that waits; the newest cut still counts unless told otherwise."""
        cuts = [one for one in self._items if isinstance(one, Cut)]
        self.dropped += len(self._items) - len(cuts)
        self._items.clear()
        if not with_cuts:
            self._items.extend(cuts[-1:])
        self._bytes = 0
        self._needs_key = True
