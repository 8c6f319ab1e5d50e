"""Grants: small files that open some tracks of a key log, for a time span, for one recipient."""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Callable, Sequence
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
from streamer.key_log_chunks import ChunkKind
from streamer.key_log_crypto import (
    X25519Identity,
    open_chunk,
    unwrap_with_identity,
    wrap_for_recipient,
)
from streamer.key_log_format import decode_records, encode_record
from streamer.key_log_framing import ChunkRef, read_body, scan_chunks
from streamer.key_log_grant_format import (
    ChunkGrant,
    CopiedRecords,
    GrantBody,
    TrackSpan,
    decode_grant,
    encode_grant,
)
from streamer.key_log_header import KeyLogHeader
from streamer.key_log_reader import KeyLogReader, open_log_file, read_envelope
from streamer.key_log_records import Record, TrackStart, record_span
from streamer.key_log_wire import ByteReader
from streamer.keys import KeyScope, derive_key

__all__ = ["GrantReader", "grant_body", "write_grant"]

_MAGIC: Final = b"veilstream-grant/1\n"
_BODY_LABEL: Final = b"veilstream-grant/1 body"
_WRAP: Final = b"wrap-grant"
_MAX_SEALED: Final = 64 << 20


def grant_body(
    reader: KeyLogReader,
    spans: Sequence[TrackSpan],
    *,
    granted_by: str,
    reason: str,
    created_unix_us: int,
    with_identity: bool,
) -> GrantBody:
    """Collect what a grant opens.

    Args:
        reader: the log, opened.
        spans: tracks and times, one for each track.
        granted_by: who grants.
        reason: why.
        created_unix_us: now.
        with_identity: grant the tracks' identities too (for assisted and generative recovery),
            which know no time span.

    Raises:
        KeyLogError: a track is not in the log.
        KeyLogTamperedError: a chunk that would have to be copied was changed.
    """
    wanted = {span.track_id: span for span in spans}
    chunks: list[ChunkGrant] = []
    copies: list[CopiedRecords] = []
    seen: set[int] = set()
    for ref in reader.chunks:
        prefix = ref.prefix
        span = wanted.get(prefix.track_id)
        if span is None:
            continue
        seen.add(prefix.track_id)
        is_inside = span.first_pts <= prefix.first_pts and prefix.last_pts <= span.last_pts
        is_outside = prefix.last_pts < span.first_pts or span.last_pts < prefix.first_pts
        if prefix.kind is ChunkKind.TRACK_INFO:
            if with_identity:
                chunks.append(ChunkGrant(prefix.index, prefix.kind, reader.chunk_key(ref)))
        elif is_inside:
            chunks.append(ChunkGrant(prefix.index, prefix.kind, reader.chunk_key(ref)))
        elif not is_outside:
            copies += _copy(ref, reader.read_chunk(ref), span)
    missing = sorted(set(wanted) - seen)
    if missing:
        raise KeyLogError(f"the key log has no track {', '.join(map(str, missing))}")
    ordered = tuple(sorted(wanted.values(), key=lambda span: span.track_id))
    return GrantBody(created_unix_us, granted_by, reason, ordered, tuple(chunks), tuple(copies))


def write_grant(
    path: Path,
    body: GrantBody,
    *,
    core_hash: bytes,
    recipient: bytes,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> None:
    """Write a grant for a public key to a new file of mode 0600.

    Raises:
        KeyLogError: the file exists, cannot be written, or the grant is too large.
    """
    grant_key = random_bytes(32)
    ephemeral, wrapped = wrap_for_recipient(grant_key, recipient, what=_WRAP)
    plain = encode_grant(body)
    if len(plain) + 16 > _MAX_SEALED:
        raise KeyLogError("the grant is over 64 MiB; grant fewer tracks, or whole chunks")
    head = _MAGIC + core_hash + recipient + ephemeral + wrapped
    head += struct.pack("<I", len(plain) + 16)
    data = head + _cipher(grant_key, core_hash).encrypt(bytes(12), plain, head)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(data)
    except OSError as exc:
        raise KeyLogError(f"cannot write grant {path}: {exc.strerror}") from None


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
        self.chunks: tuple[ChunkRef, ...] = tuple(
            ref for ref in scan.chunks if ref.prefix.index in granted
        )

    @staticmethod
    def open(grant: Path, log: Path, identity: X25519Identity) -> GrantReader:
        """Open a log through a grant.

        Raises:
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

    def close(self) -> None:
        """Close the log's file."""
        self._file.close()


def _copy(ref: ChunkRef, records: Sequence[Record], span: TrackSpan) -> list[CopiedRecords]:
    inside = []
    for record in records:
        times = record_span(record)
        if times is not None and span.first_pts <= times[0] <= span.last_pts:
            inside.append(encode_record(record))
    if not inside:
        return []
    return [CopiedRecords(ref.prefix.index, ref.prefix.track_id, b"".join(inside))]


def _open_grant(data: bytes, identity: X25519Identity) -> tuple[bytes, GrantBody]:
    if not data.startswith(_MAGIC):
        raise KeyLogFormatError("not a grant (its first line is another one)")
    reader = ByteReader(data[len(_MAGIC) :], "grant")
    core_hash, recipient = reader.take(32), reader.take(32)
    ephemeral, wrapped, size = reader.take(32), reader.take(48), reader.u32()
    if size > _MAX_SEALED:
        raise KeyLogFormatError("a grant of over 64 MiB is impossible")
    head, sealed = data[: len(data) - reader.remaining], reader.take(size)
    reader.finish()
    if recipient != identity.public:
        raise WrongPasswordError("the grant was made for another key")
    grant_key = unwrap_with_identity(wrapped, ephemeral, identity, what=_WRAP)
    if grant_key is None:
        raise KeyLogTamperedError("the grant was changed after it was written")
    try:
        plain = _cipher(grant_key, core_hash).decrypt(bytes(12), sealed, head)
    except InvalidTag:
        raise KeyLogTamperedError("the grant was changed after it was written") from None
    return core_hash, decode_grant(plain)


def _cipher(grant_key: bytes, core_hash: bytes) -> ChaCha20Poly1305:
    return ChaCha20Poly1305(derive_key(grant_key, salt=core_hash, info=_BODY_LABEL))
