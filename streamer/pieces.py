"""Pieces of a recording: how the files of an endless video are called, and which ones may go."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from streamer.key_log_parts import later_parts

__all__ = ["PieceNames", "PiecePattern", "Retention", "remove_expired"]

_LABEL = r"\d{8}T\d{6}Z(-\d+)?"


@dataclass(frozen=True, slots=True)
class PiecePattern:
    """How the files of one output are called.

    Attributes:
        path: the name that was asked for; a label goes between its stem and its extension.
        tail: comes after the extension, such as that of a key log beside its video.
    """

    path: Path
    tail: str = ""

    def of(self, label: str) -> Path:
        """The file of a piece; an empty label gives the name itself."""
        middle = f"-{label}" if label else ""
        return self.path.with_name(f"{self.path.stem}{middle}{self.path.suffix}{self.tail}")

    def finished(self) -> list[Path]:
        """The finished pieces that lie there, of this run and of earlier ones, oldest first."""
        end = re.escape(self.path.suffix + self.tail)
        ours = re.compile(re.escape(self.path.stem) + f"-{_LABEL}" + end)
        found = [path for path in self.path.parent.iterdir() if ours.fullmatch(path.name)]
        return sorted(found, key=lambda path: (_modified_s(path), path.name))


class PieceNames:
    """Labels of pieces: the wall clock at their start, each used once. Not thread-safe.

    Args:
        patterns: all files that a piece consists of; a label is free when none of them exists.
        is_segmented: False for an output that is one file as long as nothing forces another.
        keeps_old: what an earlier run left is kept, also by an output that is one file.
    """

    def __init__(
        self, patterns: Iterable[PiecePattern], *, is_segmented: bool, keeps_old: bool = False
    ) -> None:
        self._patterns = tuple(patterns)
        self._is_segmented = is_segmented
        self._keeps_old = keeps_old
        self._used: str | None = None
        self._count = 0

    def next(self, wall_s: float) -> str:
        """The label of the next piece.

        Args:
            wall_s: seconds since 1970 UTC.
        """
        if not self._is_segmented:
            return self._next_number()
        base = datetime.fromtimestamp(wall_s, UTC).strftime("%Y%m%dT%H%M%SZ")
        label, number = base, 1
        # A clock that was set back comes to the same second again.
        while label == self._used or self._is_any_taken(label):
            number += 1
            label = f"{base}-{number}"
        self._used = label
        return label

    def _next_number(self) -> str:
        while True:
            self._count += 1
            label = "" if self._count == 1 else f"{self._count}"
            if not self._keeps_old or not self._is_any_taken(label):
                return label

    def _is_any_taken(self, label: str) -> bool:
        return any(self._is_taken(pattern.of(label)) for pattern in self._patterns)

    @staticmethod
    def _is_taken(path: Path) -> bool:
        partial = path.with_name(f"{path.stem}.partial{path.suffix}")
        return path.exists() or partial.exists()


@dataclass(frozen=True, slots=True)
class Retention:
    """How long and how much is kept.

    Attributes:
        age_s: pieces that ended longer ago are removed, None for never.
        size_bytes: the oldest are removed while all together are larger, None for any size.
    """

    age_s: float | None = None
    size_bytes: int | None = None


def remove_expired(
    pattern: PiecePattern, key_log: PiecePattern | None, limits: Retention, *, now_s: float
) -> list[Path]:
    """Remove pieces that are too old or too many, each with its key log.

    The newest piece always stays.

    Args:
        pattern: the video files.
        key_log: the key logs, None when there are none of their own.
        limits: what is kept.
        now_s: seconds since 1970 UTC.

    Returns:
        The videos that were removed.
    """
    if limits.age_s is None and limits.size_bytes is None:
        return []
    pieces = pattern.finished()
    groups = [(path, *_log_of(path, pattern, key_log)) for path in pieces]
    sizes = [sum(_size_bytes(path) for path in group) for group in groups]
    total, removed = sum(sizes), []
    for group, size in zip(groups[:-1], sizes[:-1], strict=True):
        is_old = limits.age_s is not None and now_s - _modified_s(group[0]) > limits.age_s
        is_over = limits.size_bytes is not None and total > limits.size_bytes
        if not is_old and not is_over:
            break
        for path in group:
            with contextlib.suppress(OSError):
                path.unlink()
        total -= size
        removed.append(group[0])
    return removed


def _log_of(path: Path, pattern: PiecePattern, key_log: PiecePattern | None) -> tuple[Path, ...]:
    if key_log is None:
        return ()
    label = path.name[len(pattern.path.stem) + 1 : len(path.name) - len(pattern.path.suffix)]
    log = key_log.of(label)
    return log, *later_parts(log)


def _number(path: Path, read: Callable[[Path], float]) -> float:
    try:
        return read(path)
    except OSError:
        return 0.0


def _modified_s(path: Path) -> float:
    return _number(path, lambda p: p.stat().st_mtime)


def _size_bytes(path: Path) -> int:
    return int(_number(path, lambda p: p.stat().st_size))
