"""AppendFile: a private file that only grows, and that says so when it cannot."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable
from pathlib import Path

from engines.errors import KeyLogError

__all__ = ["AppendFile", "lock_or_refuse", "sync_folder"]


class AppendFile:
    """A file open for appending, mode 0600. Not thread-safe; its owner locks.

    Once a write failed, the file is cut back to the last whole append and every later call
    raises the same error.
    """

    def __init__(
        self, path: Path, descriptor: int, *, fsync_interval_s: float, now: Callable[[], float]
    ) -> None:
        self.path = path
        self.size_bytes = 0
        self._descriptor = descriptor
        self._fsync_interval_s = fsync_interval_s
        self._now = now
        self._synced_at = now()
        self._failure: str | None = None
        self._is_open = True

    @staticmethod
    def create(
        path: Path, *, overwrite: bool, fsync_interval_s: float, now: Callable[[], float]
    ) -> AppendFile:
        """Create the file; an existing one is replaced only if asked.

        Raises:
            KeyLogError: it exists, or cannot be created.
        """
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        try:
            if overwrite:
                # A new file, not the old one emptied: nobody who has that open may read this one.
                path.unlink(missing_ok=True)
            descriptor = os.open(path, flags, 0o600)
            sync_folder(path.parent)
        except FileExistsError:
            raise KeyLogError(
                f"key log {path} exists already; it may be the only way back to a recording, so "
                "move it away or ask to overwrite it"
            ) from None
        except OSError as exc:
            raise KeyLogError(f"cannot create key log {path}: {exc.strerror}") from None
        # The umask may have taken bits away but cannot have added any. The lock ends with the
        # process, however that ends; it keeps `recipients` and `shred` off a growing log.
        lock_or_refuse(descriptor, path)
        return AppendFile(path, descriptor, fsync_interval_s=fsync_interval_s, now=now)

    def append(self, data: bytes) -> None:
        """Write all of it to the kernel.

        Raises:
            KeyLogError: it does not fit or the disk failed, now or before.
        """
        self.raise_failure()
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as exc:
            with contextlib.suppress(OSError):
                os.ftruncate(self._descriptor, self.size_bytes)
            self._fail(exc)
        self.size_bytes += len(data)

    def sync(self) -> None:
        """Wait until the disk has it.

        Raises:
            KeyLogError: the disk failed.
        """
        self.raise_failure()
        try:
            os.fsync(self._descriptor)
        except OSError as exc:
            self._fail(exc)
        self._synced_at = self._now()

    def sync_if_due(self) -> None:
        """`sync`, if the last one was long enough ago."""
        if self._now() - self._synced_at >= self._fsync_interval_s:
            self.sync()

    def raise_failure(self) -> None:
        """Raises the error of an earlier call again."""
        if self._failure is not None:
            raise KeyLogError(self._failure)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        if self._is_open:
            self._is_open = False
            os.close(self._descriptor)

    def _fail(self, error: OSError) -> None:
        self._failure = f"cannot write key log {self.path}: {error.strerror}"
        raise KeyLogError(self._failure) from None


def sync_folder(folder: Path) -> None:
    """Wait until the disk has a folder's entries: a file is no use if its name is lost."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def lock_or_refuse(descriptor: int, path: Path) -> None:
    """Lock a log for one program, until the descriptor is closed.

    Raises:
        KeyLogError: another program holds it.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        raise KeyLogError(f"key log {path} is in use by another program; try later") from None
