"""Grants: small files that open some tracks of a key log, for a time span, for one recipient."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from engines.errors import (
    KeyLogError,
    KeyLogFormatError,
    KeyLogTamperedError,
    WrongPasswordError,
)
from streamer.key_log_chunks import TAG_BYTES, ChunkKind, encode_prefix
from streamer.key_log_crypto import (
    X25519Identity,
    chunk_hash,
    open_chunk,
    unwrap_with_identity,
)
from streamer.key_log_format import decode_records
from streamer.key_log_framing import ChunkRef, read_body, scan_chunks
from streamer.key_log_grant_format import (
    GrantBody,
    decode_grant,
)
from streamer.key_log_header import KeyLogHeader
from streamer.key_log_open import open_log_file, read_envelope, require_unexpired
from streamer.key_log_records import Gap, Record, TrackStart, VideoDigest
from streamer.key_log_wire import ByteReader
from streamer.keys import KeyScope, derive_key

__all__ = ["GRANT_MAGIC", "GRANT_WRAP", "MAX_GRANT_BYTES", "GrantReader", "grant_cipher"]

GRANT_MAGIC: Final = b"veilstream-grant/1\n"
_BODY_LABEL: Final = b"veilstream-grant/1 body"
GRANT_WRAP: Final = b"wrap-grant"
MAX_GRANT_BYTES: Final = 64 << 20


class GrantReader:
    """A log seen through a grant. Not thread-safe. Use as a context manager or call `close`.

    Offers what `KeyLogCursor` needs, for the granted tracks and times only.

    Attributes:
        header: of the log.
        body: what the grant says.
        chunks: the chunks that it opens, wholly or in part.
        is_complete: the log has its end marker.
    """

    def __init__(self, file: BinaryIO, body: GrantBody, core_hash: bytes) -> None:
        envelope = read_envelope(file)
        if envelope.core_hash != core_hash:
            raise KeyLogTamperedError("the grant belongs to another key log")
        self._file = file
        self._core_hash = core_hash
        self._keys = {chunk.index: chunk for chunk in body.chunks}
        self._copies = {copy.index: copy for copy in body.copies}
        self.header: KeyLogHeader = envelope.header
        self.body = body
        scan = scan_chunks(
            file,
            start=envelope.size,
            core_hash=core_hash,
            has_signer=envelope.header.signer is not None,
            thorough=False,
        )
        self.is_complete: bool = not scan.is_cut
        self._damage: dict[int, str] = {}
        granted = self._keys.keys() | self._copies.keys()
        self._public = [ref for ref in scan.chunks if ref.prefix.kind is ChunkKind.PUBLIC]
        self.chunks: tuple[ChunkRef, ...] = tuple(
            ref for ref in scan.chunks if ref.prefix.index in granted
        )

    @staticmethod
    def open(
        grant: Path,
        log: Path,
        identity: X25519Identity,
        *,
        now: Callable[[], float] = time.time,
    ) -> GrantReader:
        """Open a log through a grant.

        Raises:
            KeyLogExpiredError: the log's retention time is over.
            WrongPasswordError: the grant was made for another key.
            KeyLogFormatError: one of the two files is none.
            KeyLogTamperedError: the grant was changed or belongs to another log.
            KeyLogError: one of the two cannot be read.
        """
        try:
            data = grant.read_bytes()
        except OSError as exc:
            raise KeyLogError(f"cannot read grant {grant}: {exc.strerror}") from None
        core_hash, body = _open_grant(data, identity)
        file = open_log_file(log)
        try:
            require_unexpired(read_envelope(file).header, log.name, now())
            return GrantReader(file, body, core_hash)
        except BaseException:
            file.close()
            raise

    def __enter__(self) -> GrantReader:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def read_chunk(self, ref: ChunkRef) -> tuple[Record, ...]:
        """The granted records of a chunk.

        Raises:
            KeyLogTamperedError: the chunk or the copy is not what was written.
            KeyLogError: the chunk is not granted.
        """
        try:
            return self._read(ref)
        except (KeyLogFormatError, KeyLogTamperedError) as exc:
            self._damage[ref.offset] = f"chunk {ref.prefix.index}: {exc}"
            raise KeyLogTamperedError(self._damage[ref.offset]) from None

    def _read(self, ref: ChunkRef) -> tuple[Record, ...]:
        prefix = ref.prefix
        granted, copy = self._keys.get(prefix.index), self._copies.get(prefix.index)
        if granted is not None and granted.kind is prefix.kind:
            body = read_body(self._file, ref)
            data = open_chunk(granted.key, self._core_hash, prefix, body)
            return decode_records(data, prefix.kind, prefix.track_id)
        if copy is not None and copy.track_id == prefix.track_id:
            return decode_records(copy.records, prefix.kind, prefix.track_id)
        raise KeyLogError(f"chunk {prefix.index} is not granted")

    @property
    def track_ids(self) -> frozenset[int]:
        """The granted tracks."""
        return frozenset(span.track_id for span in self.body.spans)

    @property
    def damage(self) -> tuple[str, ...]:
        """Granted chunks that turned out to be changed; reading finds more."""
        return tuple(self._damage[offset] for offset in sorted(self._damage))

    def tracks(self, *, salvage: bool = False) -> dict[int, tuple[TrackStart, ...]]:
        """Granted identities by track; empty if the grant holds none.

        Raises:
            KeyLogTamperedError: one of these chunks was changed, unless `salvage`.
        """
        found: dict[int, list[TrackStart]] = {}
        for ref in self.chunks:
            if ref.prefix.kind is not ChunkKind.TRACK_INFO:
                continue
            try:
                records = self.read_chunk(ref)
            except KeyLogTamperedError:
                if not salvage:
                    raise
                continue
            for record in records:
                if isinstance(record, TrackStart):
                    found.setdefault(record.track_id, []).append(record)
        return {
            track_id: tuple(sorted(starts, key=lambda start: start.revision))
            for track_id, starts in found.items()
        }

    def scope_keys(self, *, salvage: bool = False) -> dict[tuple[KeyScope, str], bytes]:
        """None: a key of a whole recording or camera is never granted."""
        return {}

    def public_records(self, *, salvage: bool = False) -> tuple[VideoDigest | Gap, ...]:
        """Digests of the video's segments, and gaps, in file order.

        A grant holds no key that would prove them: they are as good as the file is.

        Raises:
            KeyLogTamperedError: one of these chunks was changed, unless `salvage`.
        """
        found: list[VideoDigest | Gap] = []
        for ref in self._public:
            body = read_body(self._file, ref)
            try:
                if chunk_hash(encode_prefix(ref.prefix), body) != ref.stored_hash:
                    raise KeyLogTamperedError(f"chunk {ref.prefix.index}: its hash does not fit")
                records = decode_records(body[:-TAG_BYTES], ref.prefix.kind, ref.prefix.track_id)
            except (KeyLogFormatError, KeyLogTamperedError) as exc:
                if not salvage:
                    raise
                self._damage[ref.offset] = f"chunk {ref.prefix.index}: {exc}"
                continue
            found += [record for record in records if isinstance(record, VideoDigest | Gap)]
        return tuple(found)

    def close(self) -> None:
        """Close the log's file."""
        self._file.close()


def _open_grant(data: bytes, identity: X25519Identity) -> tuple[bytes, GrantBody]:
    if not data.startswith(GRANT_MAGIC):
        raise KeyLogFormatError("not a grant (its first line is another one)")
    reader = ByteReader(data[len(GRANT_MAGIC) :], "grant")
    core_hash, recipient = reader.take(32), reader.take(32)
    ephemeral, wrapped, size = reader.take(32), reader.take(48), reader.u32()
    if size > MAX_GRANT_BYTES:
        raise KeyLogFormatError("a grant of over 64 MiB is impossible")
    head, sealed = data[: len(data) - reader.remaining], reader.take(size)
    reader.finish()
    if recipient != identity.public:
        raise WrongPasswordError("the grant was made for another key")
    grant_key = unwrap_with_identity(wrapped, ephemeral, identity, what=GRANT_WRAP)
    if grant_key is None:
        raise KeyLogTamperedError("the grant was changed after it was written")
    try:
        plain = grant_cipher(grant_key, core_hash).decrypt(bytes(12), sealed, head)
    except InvalidTag:
        raise KeyLogTamperedError("the grant was changed after it was written") from None
    return core_hash, decode_grant(plain)


def grant_cipher(grant_key: bytes, core_hash: bytes) -> ChaCha20Poly1305:
    """Seals and opens the body of a grant."""
    return ChaCha20Poly1305(derive_key(grant_key, salt=core_hash, info=_BODY_LABEL))
