"""Changing who can open a key log: a new header, the same chunks.

Chunks are bound to the header's core and to the file key, neither of which changes. A removed
recipient who kept an old copy, or the file key, can still open that copy; what removal does is that
this file does not let them in. docs/threat-model.md says when a new recording is the answer.
"""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import BinaryIO

from engines.errors import KeyLogError
from streamer.key_log_access import Access, Stanza
from streamer.key_log_crypto import FileKeys, X25519Identity
from streamer.key_log_envelope import build_envelope, unlock
from streamer.key_log_file import lock_or_refuse, sync_folder
from streamer.key_log_open import read_envelope, require_unexpired

__all__ = ["add_stanzas", "change_access", "remove_recipients"]


def add_stanzas(
    path: Path,
    make_stanzas: Callable[[FileKeys], Sequence[Stanza]],
    *,
    password: bytes | None = None,
    identities: Sequence[X25519Identity] = (),
) -> Access:
    """Let more recipients in.

    Args:
        path: a log that nobody is writing.
        make_stanzas: makes them from the log's keys, such as `recipient_stanza`.
        password: opens the log now.
        identities: open the log now.

    Returns:
        The new access part.

    Raises:
        WrongPasswordError: nothing given opens the log.
        KeyLogError: expired, still being written, unreadable, too many recipients, or the disk
            failed.
    """

    def change(access: Access, keys: FileKeys) -> tuple[Stanza, ...]:
        return (*access.stanzas, *make_stanzas(keys))

    return change_access(path, change, password=password, identities=identities)


def remove_recipients(
    path: Path,
    label: str,
    *,
    password: bytes | None = None,
    identities: Sequence[X25519Identity] = (),
) -> Access:
    """Take all recipients with a label out; the last one cannot be.

    Raises:
        WrongPasswordError: nothing given opens the log.
        KeyLogError: nobody has that label, nobody would be left, or as `add_stanzas`.
    """

    def change(access: Access, keys: FileKeys) -> tuple[Stanza, ...]:
        kept = tuple(stanza for stanza in access.stanzas if stanza.label != label)
        if len(kept) == len(access.stanzas):
            known = ", ".join(stanza.label for stanza in access.stanzas)
            raise KeyLogError(f"no recipient is called {label!r}; there are: {known}")
        if not kept:
            raise KeyLogError("the last recipient cannot be removed; nobody could open the log")
        return kept

    return change_access(path, change, password=password, identities=identities)


def change_access(
    path: Path,
    change: Callable[[Access, FileKeys], tuple[Stanza, ...]],
    *,
    password: bytes | None,
    identities: Sequence[X25519Identity],
    now: Callable[[], float] = time.time,
) -> Access:
    """Replace a log's recipients; the file is exchanged as a whole or not at all."""
    try:
        with path.open("rb") as file:
            lock_or_refuse(file.fileno(), path)
            envelope = read_envelope(file)
            require_unexpired(envelope.header, path.name, now())
            keys = unlock(envelope, password=password, identities=identities)
            stanzas = change(envelope.access, keys)
            access = Access(envelope.access.generation + 1, stanzas)
            header = build_envelope(envelope.core, access, keys)
            keys.wipe()
            _replace(path, header, file, envelope.size)
    except OSError as exc:
        raise KeyLogError(f"cannot change key log {path}: {exc.strerror}") from None
    except ValueError as exc:
        raise KeyLogError(f"cannot change the recipients of {path}: {exc}") from None
    return dataclasses.replace(access)


def _replace(path: Path, header: bytes, old: BinaryIO, chunks_at: int) -> None:
    temporary = path.with_name(path.name + ".new")
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(header)
            old.seek(chunks_at)
            shutil.copyfileobj(old, file, 1 << 20)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
