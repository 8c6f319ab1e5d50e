"""KeyLogWriter: appends records to an encrypted, crash-safe key log.

Format: docs/keylog-format.md; section 9 states what survives a crash.
"""

from __future__ import annotations

import dataclasses
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engines.errors import KeyLogError
from streamer.key_log_access import Access
from streamer.key_log_crypto import FileKeys
from streamer.key_log_envelope import build_envelope
from streamer.key_log_file import AppendFile
from streamer.key_log_header import KeyLogHeader, core_hash, encode_core
from streamer.key_log_recipients import (
    Recipient,
    master_stanza,
    password_stanza,
    recipient_stanzas,
)
from streamer.key_log_records import End, Face, Record, TrackStart
from streamer.key_log_sealer import ChunkSealer
from streamer.keys import KdfParams, MasterKey

__all__ = ["KeyLogWriter"]


class KeyLogWriter:
    """One key log being written. Thread-safe. Use as a context manager or call `close`.

    Leaving the context after an error aborts: what was appended is written, the end marker is not.
    Make one with `create`.
    """

    def __init__(
        self,
        file: AppendFile,
        sealer: ChunkSealer,
        *,
        flush_interval_s: float,
        now: Callable[[], float],
    ) -> None:
        self._file = file
        self._sealer: ChunkSealer | None = sealer
        self._interval_s = flush_interval_s
        self._now = now
        self._lock = threading.Lock()
        self._flushed_at = now()
        self._last_hash = sealer.last_hash
        self._faces = 0
        self._generated = 0
        self._filled = 0
        self._stop = threading.Event()
        self._flusher: threading.Thread | None = None

    @staticmethod
    def create(
        path: Path,
        *,
        header: KeyLogHeader,
        password: bytes | None = None,
        master: MasterKey | None = None,
        recipients: Sequence[Recipient] = (),
        threshold: int | None = None,
        signer: Ed25519PrivateKey | None = None,
        overwrite: bool = False,
        flush_interval_s: float = 1.0,
        fsync_interval_s: float = 5.0,
        background: bool = True,
        now: Callable[[], float] = time.monotonic,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> KeyLogWriter:
        """Create a log with mode 0600 and write its header.

        Args:
            path: must not exist unless `overwrite`.
            header: describes the recording; its `signer` is filled in from `signer`.
            password: opens the log; stretched with the header's `kdf`, or with a fresh salt.
            master: the same, stretched with the header's `kdf` already; instead of `password`.
            recipients: public keys whose owners may open it too.
            threshold: only so many of the recipients together open it; None: each alone.
            signer: device key that signs the log at its end.
            overwrite: replace an existing file.
            flush_interval_s: longest time that a record stays in memory.
            fsync_interval_s: longest time that a record stays in the kernel's memory only.
            background: flush from a thread too, so that records do not wait for the next one.
            now: clock in seconds.
            random_bytes: source of keys and salts.

        Raises:
            KeyLogError: the file exists or cannot be written.
            ValueError: neither password nor recipients, or a header that does not fit.
        """
        header = _signed_by(header, signer)
        core = encode_core(header)
        keys = FileKeys(random_bytes(32), core_hash(core))
        kdf = header.kdf or KdfParams.generate(random_bytes)
        stanzas = recipient_stanzas(
            keys, recipients, threshold=threshold, random_bytes=random_bytes
        )
        if master is not None:
            stanzas = (master_stanza(keys, master, kdf, random_bytes=random_bytes), *stanzas)
        elif password is not None:
            stanzas = (password_stanza(keys, password, kdf, random_bytes=random_bytes), *stanzas)
        envelope = build_envelope(core, Access(0, stanzas), keys)
        file = AppendFile.create(
            path, overwrite=overwrite, fsync_interval_s=fsync_interval_s, now=now
        )
        _begin(file, envelope)
        sealer = ChunkSealer(keys, signer)
        writer = KeyLogWriter(file, sealer, flush_interval_s=flush_interval_s, now=now)
        if background:
            writer._start_flusher()
        return writer

    def __enter__(self) -> KeyLogWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._sealer is None:
            return
        if kind is None:
            self.close()
        else:
            self.abort()

    @property
    def path(self) -> Path:
        """Where the log lies."""
        return self._file.path

    @property
    def last_hash(self) -> bytes:
        """Hash of the last chunk, once closed; a log that continues this one names it. 32 bytes."""
        return self._last_hash

    @property
    def size_bytes(self) -> int:
        """Bytes written so far."""
        return self._file.size_bytes

    def append(self, record: Record) -> None:
        """Add one record. A TrackStart is written before this returns, with all before it.

        Raises:
            KeyLogError: the file cannot be written; later calls raise it again.
            ValueError: closed, a face before its TrackStart, an End, or a record too large.
        """
        with self._lock:
            sealer = self._open_sealer()
            chunks = sealer.add(record)
            if isinstance(record, Face):
                self._faces += 1
                self._generated += record.is_generated
                self._filled += record.is_filled
            is_due = self._now() - self._flushed_at >= self._interval_s
            if isinstance(record, TrackStart) or is_due:
                chunks += sealer.take()
                self._flushed_at = self._now()
            if chunks:
                self._file.append(chunks)
                self._file.sync_if_due()

    def flush(self) -> None:
        """Hand everything appended so far to the operating system.

        Raises:
            KeyLogError: the file cannot be written.
            ValueError: closed.
        """
        with self._lock:
            self._flush_locked(self._open_sealer())

    def close(self, summary: End | None = None) -> None:
        """Write the end marker (and the signature) and close. A second call does nothing.

        Args:
            summary: status, frames and span; the counts of tracks and faces are filled in here.

        Raises:
            KeyLogError: the file cannot be written.
        """
        self._stop_flusher()
        with self._lock:
            sealer = self._sealer
            if sealer is None:
                return
            try:
                end = dataclasses.replace(
                    summary or End(),
                    tracks=sealer.track_count,
                    faces=self._faces,
                    generated=self._generated,
                    filled=self._filled,
                )
                self._file.append(sealer.finish(end))
                self._file.sync()
            finally:
                self._forget()

    def abort(self) -> None:
        """Write what is pending but no end marker, and close; never raises KeyLogError."""
        self._stop_flusher()
        with self._lock:
            sealer = self._sealer
            if sealer is None:
                return
            try:
                self._flush_locked(sealer)
                self._file.sync()
            except KeyLogError:
                pass  # the error that led here is the one to report
            finally:
                self._forget()

    def _flush_locked(self, sealer: ChunkSealer) -> None:
        chunks = sealer.take()
        self._flushed_at = self._now()
        if chunks:
            self._file.append(chunks)
        self._file.sync_if_due()

    def _open_sealer(self) -> ChunkSealer:
        if self._sealer is None:
            raise ValueError("the key log is closed")
        self._file.raise_failure()
        return self._sealer

    def _forget(self) -> None:
        if self._sealer is not None:
            self._last_hash = self._sealer.last_hash
            self._sealer.wipe()
        self._sealer = None
        self._file.close()

    def _start_flusher(self) -> None:
        self._flusher = threading.Thread(target=self._flush_often, name="key-log", daemon=True)
        self._flusher.start()

    def _stop_flusher(self) -> None:
        self._stop.set()
        if self._flusher is not None and self._flusher is not threading.current_thread():
            self._flusher.join()

    def _flush_often(self) -> None:
        while not self._stop.wait(self._interval_s):
            with self._lock:
                if self._sealer is None:
                    return
                try:
                    self._flush_locked(self._sealer)
                except KeyLogError:
                    return  # kept by the file; the next append raises it


def _signed_by(header: KeyLogHeader, signer: Ed25519PrivateKey | None) -> KeyLogHeader:
    """The header with the public key of the signer."""
    if signer is not None:
        return dataclasses.replace(header, signer=signer.public_key().public_bytes_raw())
    if header.signer is not None:
        raise ValueError("the header names a signer, but its key was not given")
    return header


def _begin(file: AppendFile, envelope: bytes) -> None:
    """Write the first bytes of a log; without them there is to be no file."""
    try:
        file.append(envelope)
        file.sync()
    except BaseException:
        file.close()
        file.path.unlink(missing_ok=True)
        raise
