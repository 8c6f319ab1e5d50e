"""What anybody can see of a key log, without its password: header, span, tracks, integrity."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from engines.errors import KeyLogError, KeyLogFormatError
from streamer.key_log_access import Access
from streamer.key_log_chunks import TAG_BYTES, ChunkKind
from streamer.key_log_crypto import verify_signature
from streamer.key_log_format import chunk_span, decode_records
from streamer.key_log_framing import ChunkRef, Scan, read_body, scan_chunks
from streamer.key_log_header import KeyLogHeader
from streamer.key_log_open import read_envelope
from streamer.key_log_records import NO_PTS, End, Gap, VideoDigest

__all__ = ["OuterReport", "inspect_outer"]


@dataclass(frozen=True, slots=True)
class OuterReport:
    """The outside of a key log. Nothing here needs or proves knowledge of a key.

    Attributes:
        header: what the log says about its recording.
        access: who can open it.
        core_hash: 32 bytes, H of the format, the name of this log.
        size_bytes: of the file.
        chunks: number of chunks found.
        tracks: number of tracks so far.
        first_pts: earliest pts, or None.
        last_pts: latest pts, or None.
        is_complete: the end marker is there (and the signature, where one is due).
        good_bytes: up to the end of the last chunk found.
        damage: what is wrong, for people; empty for a good file.
        is_signature_good: None if the header names no signer or the log has no signature yet.
        end: the summary, if there is one.
        digests: of the video's segments.
        gaps: where something is known to be missing.
    """

    header: KeyLogHeader
    access: Access
    core_hash: bytes
    size_bytes: int
    chunks: int
    tracks: int
    first_pts: int | None
    last_pts: int | None
    is_complete: bool
    good_bytes: int
    damage: tuple[str, ...]
    is_signature_good: bool | None
    end: End | None
    digests: tuple[VideoDigest, ...]
    gaps: tuple[Gap, ...]

    @property
    def duration_s(self) -> Fraction:
        """Seconds from the earliest to the latest pts."""
        if self.first_pts is None or self.last_pts is None:
            return Fraction(0)
        return (self.last_pts - self.first_pts) * self.header.time_base


def inspect_outer(path: Path) -> OuterReport:
    """Check a log's framing, hashes and signature without any key; reads the whole file.

    Finds damage and cuts. Whoever has no key cannot see whether somebody rewrote the whole file
    consistently, unless the log is signed by a device whose key is known.

    Raises:
        KeyLogFormatError: not a key log, another version, or a damaged header.
        KeyLogTruncatedError: the file ends inside the header.
        KeyLogError: the file cannot be read.
    """
    try:
        with path.open("rb") as file:
            envelope = read_envelope(file)
            signer = envelope.header.signer
            scan = scan_chunks(
                file,
                start=envelope.size,
                core_hash=envelope.core_hash,
                has_signer=signer is not None,
                thorough=True,
            )
            damage = [item.text for item in scan.damage]
            plain: list[End | Gap | VideoDigest] = []
            for ref in scan.chunks:
                if ref.prefix.kind.is_plain:
                    plain += _plain_records(ref, read_body(file, ref), damage)
            is_signed = None
            if signer is not None:
                is_signed = _signature(file, scan, signer, envelope.core_hash, damage)
            size = file.seek(0, 2)
    except OSError as exc:
        raise KeyLogError(f"cannot read key log {path}: {exc.strerror}") from None
    first, last = _span(scan)
    return OuterReport(
        header=envelope.header,
        access=envelope.access,
        core_hash=envelope.core_hash,
        size_bytes=size,
        chunks=len(scan.chunks),
        tracks=max((ref.prefix.tracks for ref in scan.chunks), default=0),
        first_pts=first,
        last_pts=last,
        is_complete=not scan.is_cut,
        good_bytes=scan.good_size,
        damage=tuple(damage),
        is_signature_good=is_signed,
        end=next((item for item in plain if isinstance(item, End)), None),
        digests=tuple(item for item in plain if isinstance(item, VideoDigest)),
        gaps=tuple(item for item in plain if isinstance(item, Gap)),
    )


def _signature(
    file: BinaryIO, scan: Scan, signer: bytes, core_hash: bytes, damage: list[str]
) -> bool | None:
    """Whether the log's signature is its signer's; None where it has none yet."""
    is_good: bool | None = None
    for ref in scan.chunks:
        if ref.prefix.kind is ChunkKind.SIGNATURE:
            is_good = verify_signature(signer, core_hash, ref.prefix, read_body(file, ref))
            if not is_good:
                damage.append(f"the signature in chunk {ref.prefix.index} does not fit")
    return is_good


def _plain_records(ref: ChunkRef, body: bytes, damage: list[str]) -> list[End | Gap | VideoDigest]:
    prefix = ref.prefix
    try:
        records = decode_records(body[:-TAG_BYTES], prefix.kind, prefix.track_id)
    except KeyLogFormatError as exc:
        damage.append(f"chunk {prefix.index}: {exc}")
        return []
    if chunk_span(records) != (prefix.first_pts, prefix.last_pts):
        damage.append(f"chunk {prefix.index}: its records do not fit its time span")
    return [record for record in records if isinstance(record, End | Gap | VideoDigest)]


def _span(scan: Scan) -> tuple[int | None, int | None]:
    spans = [
        (ref.prefix.first_pts, ref.prefix.last_pts)
        for ref in scan.chunks
        if ref.prefix.first_pts != NO_PTS
    ]
    if not spans:
        return None, None
    return min(first for first, _ in spans), max(last for _, last in spans)
