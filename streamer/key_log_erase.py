"""Erasing a key log for good: without its recipients' stanzas nobody has the file key any more.

The access part is overwritten before the file is removed, so that an undeleted file, or one whose
blocks are found again, is ciphertext under a key that is nowhere. Flash disks and copy-on-write
file systems may keep old blocks, and copies and backups are other files: the receipt says so.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from engines.errors import KeyLogError
from streamer.key_log_file import lock_or_refuse, sync_folder
from streamer.key_log_inspect import inspect_outer
from streamer.key_log_open import read_envelope

__all__ = ["Receipt", "erase_expired", "erase_key_log"]

_CAVEAT = (
    "the wrapped keys were overwritten and the file was removed; copies, backups, snapshots and "
    "old blocks of flash disks are not covered"
)


@dataclass(frozen=True, slots=True)
class Receipt:
    """What was erased.

    Attributes:
        path: where the log lay.
        recording_id: hex.
        core_hash: hex, the log's name H.
        chunks: number of chunks.
        tracks: number of tracks.
        erased_unix_s: when.
        reason: "asked for" or "expired".
        covers: what this proves and what not.
    """

    path: str
    recording_id: str
    core_hash: str
    chunks: int
    tracks: int
    erased_unix_s: int
    reason: str
    covers: str = _CAVEAT

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)


def erase_key_log(
    path: Path, *, reason: str = "asked for", now: Callable[[], float] = time.time
) -> Receipt:
    """Overwrite a log's wrapped keys, then remove it.

    Raises:
        KeyLogFormatError: not a key log; nothing was touched.
        KeyLogError: in use, unreadable, or the disk failed.
    """
    report = inspect_outer(path)
    try:
        with path.open("r+b") as file:
            lock_or_refuse(file.fileno(), path)
            envelope = read_envelope(file)
            start = len(envelope.mac_input) - _access_size(envelope.mac_input, envelope.core)
            for filling in (b"\0", b"\xff", os.urandom(1)):
                file.seek(start)
                file.write(filling * (envelope.size - start))
                file.flush()
                os.fsync(file.fileno())
        path.unlink()
        sync_folder(path.parent)
    except OSError as exc:
        raise KeyLogError(f"cannot erase key log {path}: {exc.strerror}") from None
    return Receipt(
        str(path),
        report.header.recording_id.hex(),
        envelope.core_hash.hex(),
        report.chunks,
        report.tracks,
        int(now()),
        reason,
    )


def erase_expired(folder: Path, *, now: Callable[[], float] = time.time) -> tuple[Receipt, ...]:
    """Erase all logs of a folder whose retention time is over; leaves all other files alone.

    Raises:
        KeyLogError: one of them could not be erased; those before are gone.
    """
    receipts = []
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.is_symlink():
            continue
        try:
            with path.open("rb") as file:
                expires_unix_us = read_envelope(file).header.expires_unix_us
        except (KeyLogError, OSError):
            continue  # no key log, or one that cannot be read: not ours to remove
        if 0 < expires_unix_us <= now() * 1e6:
            receipts.append(erase_key_log(path, reason="expired", now=now))
    return tuple(receipts)


def _access_size(mac_input: bytes, core: bytes) -> int:
    """Bytes of the access part: what follows first line, core and both lengths."""
    first_line = mac_input.index(b"\n") + 1
    return len(mac_input) - first_line - 4 - len(core) - 4
