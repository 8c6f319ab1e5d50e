"""KeyLogReader: opens a key log with a password or a secret key and gives back its records."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from engines.errors import (
    KeyLogFormatError,
    KeyLogTamperedError,
    KeyLogTruncatedError,
)
from streamer.key_log_access import Access
from streamer.key_log_chunks import ChunkKind, encode_prefix
from streamer.key_log_crypto import FileKeys, X25519Identity, chunk_hash, verify_signature
from streamer.key_log_envelope import Envelope, unlock
from streamer.key_log_format import chunk_span, decode_records
from streamer.key_log_framing import ChunkRef, Damage, Scan, read_body, scan_chunks
from streamer.key_log_header import KeyLogHeader
from streamer.key_log_open import open_log_file, read_envelope, require_unexpired
from streamer.key_log_records import End, Gap, Record, ScopeKey, TrackStart, VideoDigest
from streamer.keys import KeyScope

__all__ = ["KeyLogReader"]


class KeyLogReader:
    """An open key log. Not thread-safe. Use as a context manager or call `close`.

    Attributes:
        header: what the log says about its recording.
        access: who can open it.
        chunks: all chunks found, in file order; their prefixes are public.
    """

    def __init__(self, file: BinaryIO, name: str, envelope: Envelope, keys: FileKeys) -> None:
        self._file = file
        self._name = name
        self._keys = keys
        self._scan: Scan = scan_chunks(
            file,
            start=envelope.size,
            core_hash=envelope.core_hash,
            has_signer=envelope.header.signer is not None,
            thorough=False,
        )
        self._bad_chunks: dict[int, Damage] = {}
        self.header: KeyLogHeader = envelope.header
        self.access: Access = envelope.access
        self.chunks: tuple[ChunkRef, ...] = self._scan.chunks

    @staticmethod
    def open(
        path: Path,
        password: bytes | None = None,
        *,
        identities: Sequence[X25519Identity] = (),
        min_generation: int = 0,
        now: Callable[[], float] = time.time,
    ) -> KeyLogReader:
        """Open a log; a cut or damaged one too, as far as its header is whole.

        Args:
            path: the log.
            password: tried against each password recipient.
            identities: secret keys, tried first.
            min_generation: refuse a header from before this change of recipients, which would
                let removed recipients back in.
            now: wall clock in seconds since 1970 UTC, for the retention time.

        Raises:
            KeyLogExpiredError: its retention time is over.
            WrongPasswordError: nothing given opens it.
            KeyLogFormatError: not a key log, another version, or a damaged header.
            KeyLogTruncatedError: the file ends inside the header.
            KeyLogTamperedError: the header was changed.
            KeyLogError: the file cannot be read.
        """
        file = open_log_file(path)
        try:
            envelope = read_envelope(file)
            require_unexpired(envelope.header, path.name, now())
            keys = unlock(envelope, password=password, identities=identities)
            reader = KeyLogReader(file, path.name, envelope, keys)
            reader.require_generation(min_generation)
            return reader
        except BaseException:
            file.close()
            raise

    def __enter__(self) -> KeyLogReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def require_generation(self, least: int) -> None:
        """Refuse a header from before a known change of recipients.

        Raises:
            KeyLogTamperedError: it is one; somebody put it back.
        """
        if self.access.generation < least:
            raise KeyLogTamperedError(
                f"key log {self._name} has a header of generation {self.access.generation}, older "
                f"than the expected {least}: an old header was put back, which may let removed "
                "recipients in"
            )

    @property
    def is_complete(self) -> bool:
        """Whether the end marker is there (and the signature, where one is due)."""
        return not self._scan.is_cut

    @property
    def damage(self) -> tuple[str, ...]:
        """What was found to be wrong so far, for people; reading finds more."""
        found = [*self._scan.damage, *self._bad_chunks.values()]
        return tuple(item.text for item in sorted(found, key=lambda item: item.offset))

    @property
    def track_ids(self) -> frozenset[int]:
        """All tracks that began."""
        infos = [ref for ref in self.chunks if ref.prefix.kind is ChunkKind.TRACK_INFO]
        return frozenset(ref.prefix.track_id for ref in infos)

    @property
    def core_hash(self) -> bytes:
        """H of the format, the name of this log; 32 bytes."""
        return self._keys.core_hash

    def chunk_key(self, ref: ChunkRef) -> bytes:
        """The key that opens one chunk and nothing else, to be granted to somebody."""
        return self._keys.chunk_key(ref.prefix)

    def read_chunk(self, ref: ChunkRef) -> tuple[Record, ...]:
        """Decrypt one chunk; nothing for a signature.

        Raises:
            KeyLogTamperedError: it is not what was written there; also noted in `damage`.
            KeyLogTruncatedError: the file was cut since it was opened.
        """
        body = read_body(self._file, ref)
        if len(body) < ref.prefix.body_size:
            raise KeyLogTruncatedError(f"key log {self._name} was cut while it was read")
        try:
            return self._open_body(ref, body)
        except (KeyLogFormatError, KeyLogTamperedError) as exc:
            text = f"chunk {ref.prefix.index} was changed: {exc} (at byte {ref.offset})"
            self._bad_chunks[ref.offset] = Damage(ref.offset, 0, text)
            raise KeyLogTamperedError(f"key log {self._name}: {text}") from None

    def records(self, *, salvage: bool = False) -> Iterator[Record]:
        """All records in the order of the file.

        Args:
            salvage: go on after damage, which is then found in `damage`, and end quietly where
                the file was cut.

        Raises:
            KeyLogTamperedError: at the first damage, after all records before it.
            KeyLogTruncatedError: after the last record, if the end marker is missing.
        """
        for position, ref in enumerate(self.chunks):
            if not salvage:
                self._raise_damage_before(position)
            try:
                records = self.read_chunk(ref)
            except KeyLogTamperedError:
                if not salvage:
                    raise
                continue
            yield from records
        if salvage:
            return
        self._raise_damage_before(len(self.chunks))
        if not self.is_complete:
            raise KeyLogTruncatedError(
                f"key log {self._name} has no end marker: it was cut, or its recording was killed "
                "or still runs; everything before is authentic"
            )

    def end(self) -> End | None:
        """The summary, or None in a log that has none.

        Raises:
            KeyLogTamperedError: it was changed.
        """
        for ref in reversed(self.chunks):
            if ref.prefix.kind is ChunkKind.FINAL:
                record = self.read_chunk(ref)[0]
                return record if isinstance(record, End) else None
        return None

    def tracks(self, *, salvage: bool = False) -> dict[int, tuple[TrackStart, ...]]:
        """All revisions of all tracks by track id; reads no faces and no sealed regions.

        Raises:
            KeyLogTamperedError: one of these chunks was changed, unless `salvage`.
        """
        found: dict[int, list[TrackStart]] = {}
        for record in self._records_of(ChunkKind.TRACK_INFO, salvage):
            if isinstance(record, TrackStart):
                found.setdefault(record.track_id, []).append(record)
        return {
            track_id: tuple(sorted(starts, key=lambda start: start.revision))
            for track_id, starts in found.items()
        }

    def scope_keys(self, *, salvage: bool = False) -> dict[tuple[KeyScope, str], bytes]:
        """Rotation keys of recording and camera scope, by scope and scope id.

        Raises:
            KeyLogTamperedError: one of these chunks was changed, unless `salvage`.
        """
        return {
            (record.scope, record.scope_id): record.key
            for record in self._records_of(ChunkKind.GENERAL, salvage)
            if isinstance(record, ScopeKey)
        }

    def public_records(self, *, salvage: bool = False) -> tuple[VideoDigest | Gap, ...]:
        """Digests of the video's segments, and gaps, in file order.

        Raises:
            KeyLogTamperedError: one of these chunks was changed, unless `salvage`.
        """
        return tuple(
            record
            for record in self._records_of(ChunkKind.PUBLIC, salvage)
            if isinstance(record, VideoDigest | Gap)
        )

    def rotation_key(self, track: TrackStart) -> bytes:
        """The rotation key of a track: its own, or that of its recording or camera.

        Raises:
            KeyLogTamperedError: the log does not hold it, though it should.
        """
        key = track.key or self.scope_keys(salvage=True).get((track.scope, track.scope_id))
        if key is None:
            raise KeyLogTamperedError(
                f"key log {self._name} holds no {track.scope.value} key for track {track.track_id}"
            )
        return key

    def close(self) -> None:
        """Close the file and wipe the keys."""
        self._file.close()
        self._keys.wipe()

    def _records_of(self, kind: ChunkKind, salvage: bool) -> Iterator[Record]:
        for ref in self.chunks:
            if ref.prefix.kind is not kind:
                continue
            try:
                yield from self.read_chunk(ref)
            except KeyLogTamperedError:
                if not salvage:
                    raise

    def _open_body(self, ref: ChunkRef, body: bytes) -> tuple[Record, ...]:
        prefix = ref.prefix
        if chunk_hash(encode_prefix(prefix), body) != ref.stored_hash:
            raise KeyLogTamperedError("its hash does not fit")
        if prefix.kind is ChunkKind.SIGNATURE:
            signer = self.header.signer
            if signer is None or not verify_signature(signer, self._keys.core_hash, prefix, body):
                raise KeyLogTamperedError("its signature does not fit")
            return ()
        data = self._keys.open(prefix, body)
        records = decode_records(data, prefix.kind, prefix.track_id)
        if chunk_span(records) != (prefix.first_pts, prefix.last_pts):
            raise KeyLogTamperedError("its records do not fit its time span")
        if isinstance(records[0], End) and records[0].tracks != prefix.tracks:
            raise KeyLogTamperedError("its summary counts other tracks than it does")
        return records

    def _raise_damage_before(self, position: int) -> None:
        for item in self._scan.damage:
            if item.position <= position:
                raise KeyLogTamperedError(f"key log {self._name}: {item.text}")
