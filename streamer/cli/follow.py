"""`inspect --follow`: what a growing key log gains, line by line, over rotations of its keys."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from streamer.cli.output import print_json
from streamer.key_log_follow import Growth, follow_log
from streamer.key_log_open import read_header
from streamer.key_log_parts import next_part, read_links

__all__ = ["follow"]

_POLL_S = 1.0


def follow(path: Path, *, as_json: bool, sleep: Callable[[float], None] = time.sleep) -> None:
    """Print a line for each growth, until the recording is complete.

    Needs no key, and says nothing about what is inside. Goes on with the next part when keys are
    rotated.

    Args:
        path: a log that may be growing.
        as_json: JSON lines instead of text.
        sleep: waits between two looks.

    Raises:
        KeyLogTamperedError: a new chunk does not continue the one before.
        KeyLogError: the file is no key log or cannot be read.
    """
    part: Path | None = path
    while part is not None:
        unit = read_header(part).header.time_base
        for growth in follow_log(part, poll_s=_POLL_S, sleep=sleep):
            if growth.new_chunks or growth.is_complete:
                last_s = (
                    None if growth.last_pts is None else round(float(growth.last_pts * unit), 3)
                )
                _print(part, growth, last_s, as_json=as_json)
        part = next_part(part) if read_links(part).is_continued else None
        while part is not None and not part.exists():
            sleep(_POLL_S)


def _print(part: Path, growth: Growth, last_s: float | None, *, as_json: bool) -> None:
    if as_json:
        facts = {"command": "inspect", "log": str(part), "chunks": growth.chunks}
        facts |= {"new": growth.new_chunks, "tracks": growth.tracks}
        print_json({**facts, "up_to_s": last_s, "complete": growth.is_complete})
        return
    until = "" if last_s is None else f", up to {last_s:.3f} s"
    end = "; complete" if growth.is_complete else ""
    print(
        f"{part.name}: {growth.chunks} chunks ({growth.new_chunks} new), {growth.tracks} tracks"
        f"{until}{end}",
        flush=True,
    )
