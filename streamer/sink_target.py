"""Output files: checked before any work, written under another name, then moved into place."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from engines.errors import SinkError
from streamer.redact import is_url

__all__ = ["OutputFile"]


class OutputFile:
    """The file that an output is written to. Not thread-safe.

    The output grows as `NAME.partial.EXT` beside its final name and gets that name only from
    `commit`, so whoever looks for `NAME.EXT` finds a whole file or none.

    Args:
        path: final name.
        source_name: the input, which must not be overwritten.
        overwrite: whether an existing file may be replaced.

    Raises:
        SinkError: the output cannot be written there.
    """

    def __init__(self, path: Path, *, source_name: str, overwrite: bool) -> None:
        self.path = path
        self.partial_path = path.with_name(f"{path.stem}.partial{path.suffix}")
        self._overwrite = overwrite
        self._check(source_name)
        try:
            # Created now, so that a folder without permission is noticed before hours of work.
            with self.partial_path.open("wb"):
                pass
        except OSError as exc:
            raise SinkError(f"{path}: cannot be written: {exc.strerror}") from None

    def _check(self, source_name: str) -> None:
        path = self.path
        if not path.parent.is_dir():
            raise SinkError(f"{path}: the folder {path.parent} does not exist; create it first")
        if not os.access(path.parent, os.W_OK):
            raise SinkError(f"{path}: no permission to write in the folder {path.parent}")
        for name in (path, self.partial_path):
            if not is_url(source_name) and _same_file(name, Path(source_name)):
                raise SinkError(f"{path}: the output would overwrite the input; give another name")
        if not os.path.lexists(path):
            return
        try:
            mode = path.stat().st_mode
        except OSError as exc:
            raise SinkError(f"{path}: cannot be replaced: {exc.strerror}") from None
        if not stat.S_ISREG(mode):
            raise SinkError(f"{path}: exists and is not a regular file")
        if not self._overwrite:
            raise SinkError(f"{path}: exists already; allow overwriting or give another name")

    def commit(self) -> None:
        """Give the finished file its name; it is on the disk when this returns.

        Raises:
            SinkError: the disk refuses, or the name was taken meanwhile.
        """
        try:
            _sync(self.partial_path)
            if self._overwrite:
                self.partial_path.replace(self.path)
            else:
                self._move_without_replacing()
            _sync(self.path.parent)
        except FileExistsError:
            raise SinkError(f"{self.path}: appeared while the output was written") from None
        except OSError as exc:
            raise SinkError(f"{self.path}: cannot be written: {exc.strerror}") from None

    def _move_without_replacing(self) -> None:
        try:
            os.link(self.partial_path, self.path)
        except FileExistsError:
            raise
        except OSError:
            # A file system without hard links; the check before is the best there is.
            if os.path.lexists(self.path):
                raise FileExistsError from None
            self.partial_path.rename(self.path)
            return
        self.partial_path.unlink()

    def discard(self) -> None:
        """Remove what was written so far; never fails."""
        with contextlib.suppress(OSError):
            self.partial_path.unlink()


def _same_file(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
