"""Processes as /proc shows them: children, trees and processor time."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["children_of", "cpu_s_of", "process_tree"]


def children_of(pid: int) -> list[int]:
    """Processes that the main thread of a process started, oldest first; none when it has ended."""
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    except OSError:
        return []
    return [int(child) for child in text.split()]


def process_tree(pid: int) -> list[int]:
    """A process and all its descendants."""
    return [pid, *(one for child in children_of(pid) for one in process_tree(child))]


def cpu_s_of(pid: int) -> float:
    """Processor time that a process has used, user and system.

    Raises:
        OSError: it has ended.
    """
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
