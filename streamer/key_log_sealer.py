"""ChunkSealer: collects encoded records and turns them into a chain of sealed chunks. No I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from streamer.key_log_chunks import (
    MAX_RECORDS,
    SIGNATURE_BYTES,
    TAG_BYTES,
    ChunkKind,
    ChunkPrefix,
    encode_prefix,
)
from streamer.key_log_crypto import FileKeys, chunk_hash, sign_chunk
from streamer.key_log_format import chunk_kind_of, chunk_span, encode_record
from streamer.key_log_records import NO_PTS, NO_TRACK, End, Record, TrackStart

__all__ = ["ChunkSealer"]

# A chunk this large is closed early, so that memory stays flat and damage costs little.
_FULL_BYTES: Final = 512 * 1024


@dataclass(slots=True)
class _Pending:
    """Records waiting for one chunk."""

    kind: ChunkKind
    track_id: int
    span: tuple[int, int]
    parts: list[bytes] = field(default_factory=list)
    size: int = 0

    def add(self, data: bytes, span: tuple[int, int]) -> None:
        self.parts.append(data)
        self.size += len(data)
        if self.span[0] == NO_PTS:
            self.span = span
        elif span[0] != NO_PTS:
            self.span = min(self.span[0], span[0]), max(self.span[1], span[1])


class ChunkSealer:
    """The state of one log's chain. Not thread-safe; its owner locks.

    Args:
        keys: of the log; `wipe` overwrites them.
        signer: signs the end, or None.
    """

    def __init__(self, keys: FileKeys, signer: Ed25519PrivateKey | None) -> None:
        self._keys = keys
        self._signer = signer
        self._pending: dict[tuple[ChunkKind, int], _Pending] = {}
        self._tracks: set[int] = set()
        self._index = 0
        self._previous = keys.core_hash

    @property
    def track_count(self) -> int:
        """Different tracks so far."""
        return len(self._tracks)

    @property
    def last_hash(self) -> bytes:
        """Hash of the last chunk so far, H of the header before the first; 32 bytes."""
        return self._previous

    def wipe(self) -> None:
        """Overwrite the keys; nothing can be sealed afterwards."""
        self._keys.wipe()
        self._signer = None

    def add(self, record: Record) -> bytes:
        """Take one record in.

        Returns:
            Chunks that must be written now; empty if the record may wait.

        Raises:
            ValueError: a face before its TrackStart, an End, or a record too large.
        """
        kind, data = chunk_kind_of(record), encode_record(record)
        if kind is ChunkKind.FINAL:
            raise ValueError("the summary is given at the end")
        if len(data) > MAX_RECORDS:
            raise ValueError(f"a record of {len(data)} bytes is over the limit of {MAX_RECORDS}")
        track_id: int = getattr(record, "track_id", NO_TRACK)
        if kind is ChunkKind.TRACK_DATA and track_id not in self._tracks:
            raise ValueError(f"track {track_id} has no TrackStart yet")
        if isinstance(record, TrackStart):
            # What waits is older than this track (or its new revision) and goes before it.
            before = self.take()
            self._tracks.add(track_id)
            return before + self._chunk(kind, track_id, data, chunk_span([record]))
        waiting = self._pending.get((kind, track_id))
        chunks = b""
        if waiting is not None and waiting.size + len(data) > _FULL_BYTES:
            chunks = self.take()
            waiting = None
        if waiting is None:
            waiting = _Pending(kind, track_id, (NO_PTS, NO_PTS))
            self._pending[(kind, track_id)] = waiting
        waiting.add(data, chunk_span([record]))
        return chunks

    def take(self) -> bytes:
        """Chunks of everything that waits; empty if nothing does."""
        pending, self._pending = self._pending, {}
        return b"".join(
            self._chunk(p.kind, p.track_id, b"".join(p.parts), p.span) for p in pending.values()
        )

    def finish(self, end: End) -> bytes:
        """Everything that waits, the end marker, and the signature if there is a signer."""
        chunks = self.take()
        chunks += self._chunk(ChunkKind.FINAL, NO_TRACK, encode_record(end), chunk_span([end]))
        if self._signer is not None:
            chunks += self._signature(self._signer)
        return chunks

    def _chunk(
        self, kind: ChunkKind, track_id: int, records: bytes, span: tuple[int, int]
    ) -> bytes:
        prefix = self._prefix(kind, track_id, len(records) + TAG_BYTES, span)
        return self._close_chunk(prefix, self._keys.seal(prefix, records))

    def _signature(self, signer: Ed25519PrivateKey) -> bytes:
        span = (NO_PTS, NO_PTS)
        prefix = self._prefix(ChunkKind.SIGNATURE, NO_TRACK, SIGNATURE_BYTES, span)
        body = sign_chunk(signer, self._keys.core_hash, self._index, self._previous)
        return self._close_chunk(prefix, body)

    def _prefix(
        self, kind: ChunkKind, track_id: int, size: int, span: tuple[int, int]
    ) -> ChunkPrefix:
        return ChunkPrefix(
            size, self._index, kind, track_id, len(self._tracks), *span, self._previous
        )

    def _close_chunk(self, prefix: ChunkPrefix, body: bytes) -> bytes:
        raw = encode_prefix(prefix)
        self._previous = chunk_hash(raw, body)
        self._index += 1
        return raw + body + self._previous
