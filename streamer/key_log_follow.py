"""Following a key log while it grows, without a key: what has been added since the last look."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from engines.errors import KeyLogError, KeyLogFormatError, KeyLogTamperedError
from streamer.key_log_chunks import CHUNK_HASH_BYTES, PREFIX_BYTES, ChunkKind, decode_prefix
from streamer.key_log_framing import ChunkRef
from streamer.key_log_open import read_envelope
from streamer.key_log_records import NO_PTS

__all__ = ["Growth", "follow_log"]


@dataclass(frozen=True, slots=True)
class Growth:
    """What came since the last look.

    Attributes:
        chunks: chunks so far.
        new_chunks: of these new.
        tracks: tracks so far.
        last_pts: greatest pts of the new chunks, or None.
        is_complete: the end marker has come; there will be no more.
    """

    chunks: int
    new_chunks: int
    tracks: int
    last_pts: int | None
    is_complete: bool


def follow_log(
    path: Path, *, poll_s: float = 1.0, sleep: Callable[[float], None] = time.sleep
) -> Iterator[Growth]:
    """Report growth until the log is complete; the first report is about what is there already.

    Checks framing and links only; hashes and damage are for `inspect_outer`.

    Args:
        path: a log that may be growing.
        poll_s: time between looks.
        sleep: waits.

    Raises:
        KeyLogFormatError: not a key log, or a damaged header.
        KeyLogTruncatedError: the header is not there yet.
        KeyLogTamperedError: a new chunk does not continue the one before.
        KeyLogError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            envelope = read_envelope(file)
            closing = ChunkKind.FINAL if envelope.header.signer is None else ChunkKind.SIGNATURE
            at, previous, chunks, tracks = envelope.size, envelope.core_hash, 0, 0
            while True:
                new = _whole_chunks(file, at)
                for ref in new:
                    if ref.prefix.previous != previous or ref.prefix.index != chunks:
                        raise KeyLogTamperedError(
                            f"key log {path.name}: chunk {ref.prefix.index} at byte {ref.offset} "
                            f"does not continue chunk {chunks - 1}"
                        )
                    at, previous, chunks = ref.end, ref.stored_hash, chunks + 1
                    tracks = ref.prefix.tracks
                is_complete = bool(new) and new[-1].prefix.kind is closing
                times = [ref.prefix.last_pts for ref in new if ref.prefix.last_pts != NO_PTS]
                yield Growth(chunks, len(new), tracks, max(times, default=None), is_complete)
                if is_complete:
                    return
                sleep(poll_s)
    except OSError as exc:
        raise KeyLogError(f"cannot read key log {path}: {exc.strerror}") from None


def _whole_chunks(file: BinaryIO, at: int) -> list[ChunkRef]:
    """Chunks from an offset on, up to the first that is not whole yet."""
    size, found = file.seek(0, 2), list[ChunkRef]()
    while True:
        file.seek(at)
        raw = file.read(PREFIX_BYTES)
        if len(raw) < PREFIX_BYTES:
            return found
        try:
            prefix = decode_prefix(raw)
        except KeyLogFormatError as exc:
            raise KeyLogTamperedError(f"at byte {at}: {exc}") from None
        if at + PREFIX_BYTES + prefix.body_size + CHUNK_HASH_BYTES > size:
            return found
        file.seek(at + PREFIX_BYTES + prefix.body_size)
        found.append(ChunkRef(at, prefix, file.read(CHUNK_HASH_BYTES)))
        at = found[-1].end
