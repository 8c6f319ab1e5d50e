"""CheckedStream: where the muxer's bytes go, remembering the first error of the disk.

FFmpeg's own file output loses an error of its last flush: on a full disk a file that was cut off
would get its name as if it were whole.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from engines.errors import SinkError

__all__ = ["CheckedStream"]


class CheckedStream:
    """A file for PyAV to write to. Unbuffered, so what the muxer flushed survives a crash.

    Called by one thread at a time, under the sink's lock.

    Args:
        path: an existing file, written from its start.

    Attributes:
        before_write: called before anything is written; what it raises stops the write.
    """

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self.before_write: Callable[[], None] = _nothing
        self._file = path.open("r+b", buffering=0)
        self._error: OSError | None = None

    def write(self, data: bytes) -> int:
        """Write everything, or fail; a short write is a full disk.

        Raises:
            OSError: the disk refuses.
        """
        self.before_write()
        left = memoryview(data)
        try:
            while left:
                count = self._file.write(left)
                left = left[count or 0 :]
        except OSError as exc:
            self._error = self._error or exc
            raise
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As a file does."""
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        """As a file does."""
        return self._file.tell()

    def seekable(self) -> bool:
        """Whether `seek` works."""
        return True

    def finish(self) -> None:
        """Close the file.

        Raises:
            SinkError: something of what was written did not reach it, now or earlier.
        """
        try:
            self._file.close()
        except OSError as exc:
            self._error = self._error or exc
        if self._error is not None:
            raise SinkError(f"{self.name}: cannot be written: {self._error.strerror}") from None

    def abandon(self) -> None:
        """Close the file, whatever became of it."""
        try:
            self._file.close()
        except OSError:
            # It is given up already.
            return


def _nothing() -> None:
    """Nobody wants to be asked first."""
