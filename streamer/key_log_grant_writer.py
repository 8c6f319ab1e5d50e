"""Making grants: what of a log a recipient gets to see, written to a small file."""

from __future__ import annotations

import os
import secrets
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

from engines.errors import KeyLogError
from streamer.key_log_chunks import ChunkKind
from streamer.key_log_crypto import wrap_for_recipient
from streamer.key_log_format import encode_record
from streamer.key_log_framing import ChunkRef
from streamer.key_log_grant import GRANT_MAGIC, GRANT_WRAP, MAX_GRANT_BYTES, grant_cipher
from streamer.key_log_grant_format import (
    ChunkGrant,
    CopiedRecords,
    GrantBody,
    TrackSpan,
    encode_grant,
)
from streamer.key_log_reader import KeyLogReader
from streamer.key_log_records import Record, record_span

__all__ = ["grant_body", "write_grant"]


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
    ephemeral, wrapped = wrap_for_recipient(grant_key, recipient, what=GRANT_WRAP)
    plain = encode_grant(body)
    if len(plain) + 16 > MAX_GRANT_BYTES:
        raise KeyLogError("the grant is over 64 MiB; grant fewer tracks, or whole chunks")
    head = GRANT_MAGIC + core_hash + recipient + ephemeral + wrapped
    head += struct.pack("<I", len(plain) + 16)
    data = head + grant_cipher(grant_key, core_hash).encrypt(bytes(12), plain, head)
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            file.write(data)
    except OSError as exc:
        raise KeyLogError(f"cannot write grant {path}: {exc.strerror}") from None


def _copy(ref: ChunkRef, records: Sequence[Record], span: TrackSpan) -> list[CopiedRecords]:
    inside = []
    for record in records:
        times = record_span(record)
        if times is not None and span.first_pts <= times[0] <= span.last_pts:
            inside.append(encode_record(record))
    if not inside:
        return []
    return [CopiedRecords(ref.prefix.index, ref.prefix.track_id, b"".join(inside))]
