"""Whether there is room for more sealed originals, which are most of a key log, and what if not."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from engines.errors import KeyLogError
from streamer.key_log_records import Gap, Record, SealedPatch, Thumbnail
from streamer.media_info import Notices

__all__ = ["SealBudget", "SealGate"]

_PICTURES: Final = (SealedPatch, Thumbnail)
_CHECK_EVERY_S: Final = 1.0
# Room must have come back by this much, or a full disk would be tried again at every frame.
_HYSTERESIS_RATIO: Final = 1.25
# A gap is logged in pieces of so many frames: a crash must not hide all of it.
_GAP_FRAMES: Final = 250


class SealBudget:
    """A cap on the size of a recording's key log, and a reserve of free disk. Not thread-safe.

    Args:
        folder: where the log lies.
        most_bytes: from this size of the log on nothing more is sealed; None for no cap.
        min_free_bytes: with less free space than this nothing is sealed.
        stops: raise instead of going on without sealing.
        free_bytes: tells the free space of a folder.
        now: monotonic clock in seconds.
    """

    def __init__(
        self,
        folder: Path,
        *,
        most_bytes: int | None,
        min_free_bytes: int,
        stops: bool = False,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._folder = folder
        self._most_bytes = most_bytes
        self._min_free_bytes = min_free_bytes
        self._stops = stops
        self._free_bytes = free_bytes
        self._now = now
        self._checked_s: float | None = None
        self._is_short = False

    def refusal(self, log_bytes: int) -> str | None:
        """Why nothing may be sealed now, or None if it may.

        Args:
            log_bytes: size of the recording's log so far.

        Raises:
            KeyLogError: nothing may, and the policy is to stop.
        """
        if self._most_bytes is not None and log_bytes >= self._most_bytes:
            reason = f"the key log has reached its cap of {self._most_bytes >> 20} MiB"
        elif self._is_disk_short():
            reason = f"less than {self._min_free_bytes >> 20} MiB of disk are free"
        else:
            return None
        if self._stops:
            raise KeyLogError(f"{reason}, and keylog.when_short says stop")
        return reason

    def _is_disk_short(self) -> bool:
        now_s = self._now()
        if self._checked_s is None or now_s - self._checked_s >= _CHECK_EVERY_S:
            self._checked_s = now_s
            wanted = self._min_free_bytes * (_HYSTERESIS_RATIO if self._is_short else 1.0)
            try:
                self._is_short = self._free_bytes(self._folder) < wanted
            except OSError:
                self._is_short = True
        return self._is_short


class SealGate:
    """Lets records into a key log, originals only while there is room. Not thread-safe.

    Args:
        budget: says whether there is.
        notices: told when there is none.
    """

    def __init__(self, budget: SealBudget, notices: Notices) -> None:
        self._budget = budget
        self._notices = notices
        self._first_pts: int | None = None
        self._last_pts = 0
        self._frames = 0

    def let_in(
        self, records: Sequence[Record], pts: int, *, log_bytes: int
    ) -> tuple[Sequence[Record], Gap | None]:
        """The records of a frame that go into the log, and a gap that ended before it.

        Args:
            records: all of them.
            pts: of the frame.
            log_bytes: size of the log so far.

        Raises:
            KeyLogError: there is no room, and the policy is to stop.
        """
        if not any(isinstance(record, _PICTURES) for record in records):
            return records, None
        reason = self._budget.refusal(log_bytes)
        if reason is None:
            return records, self.end()
        self._notices.add(f"original faces are not kept any more: {reason}")
        gap = self.end() if self._frames >= _GAP_FRAMES else None
        self._first_pts = pts if self._first_pts is None else self._first_pts
        self._last_pts = pts
        self._frames += 1
        return [record for record in records if not isinstance(record, _PICTURES)], gap

    def end(self) -> Gap | None:
        """The gap under way, or None; it ends here."""
        if self._first_pts is None:
            return None
        gap = Gap(self._first_pts, self._last_pts, "disk short")
        self._first_pts, self._frames = None, 0
        return gap
