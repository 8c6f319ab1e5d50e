"""A second reader of key logs, written from docs/keylog-format.md alone.

It shares no code with the product, so that the document, not the program, is what is tested.
It is strict and simple: it stops at the first thing that is wrong.
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from collections.abc import Sequence

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from tests.independent_key_log_header import (
    MAGIC,
    NO_PTS,
    NO_TRACK,
    Fields,
    RefusedError,
    find_file_key,
    hkdf,
    need,
    parse_access,
    parse_core,
)
from tests.independent_key_log_records import RecordDict, parse_records, span_of

__all__ = ["links_of", "read_key_log"]


class Log:
    """The state of reading one log."""

    def __init__(
        self, data: bytes, password: bytes | None, secrets: Sequence[bytes], now_us: int
    ) -> None:
        self.data = data
        self.records: list[RecordDict] = []
        self.tracks: set[int] = set()
        self.index = 0
        self.now_us = now_us
        self.read_header(password, secrets)

    def read_header(self, password: bytes | None, secrets: Sequence[bytes]) -> None:
        data = self.data
        need(data[:20] == MAGIC[: len(data)], "magic")
        need(len(data) >= 20, "header", "truncated")
        at, parts = 20, []
        for _ in range(2):
            need(len(data) >= at + 4, "header", "truncated")
            (size,) = struct.unpack("<I", data[at : at + 4])
            need(1 <= size <= 65536, "part size")
            need(len(data) >= at + 4 + size, "header", "truncated")
            parts.append(data[at + 4 : at + 4 + size])
            at += 4 + size
        need(len(data) >= at + 64, "header", "truncated")
        check = hashlib.sha256(data[: at + 32]).digest()
        need(check == data[at + 32 : at + 64], "check")
        core, access = parts
        fields = parse_core(core)
        self.signer = fields["signer"]
        stanzas = parse_access(access)
        is_over = 0 < fields["expires"] <= self.now_us
        need(not is_over, "retention", "expired")
        self.h = hashlib.sha256(MAGIC + struct.pack("<I", len(core)) + core).digest()
        self.file_key = find_file_key(stanzas, password, secrets)
        mac = hmac.digest(self.key(b"header-mac"), data[:at], "sha256")
        need(hmac.compare_digest(mac, data[at : at + 32]), "mac", "tampered")
        self.at, self.previous = at + 64, self.h

    def key(self, what: bytes) -> bytes:
        return hkdf(self.h, self.file_key, b"veilstream-keylog/1 " + what)

    def read_chunk(self) -> int:
        """Reads one chunk and returns its kind."""
        rest = self.data[self.at :]
        need(rest[:4] == b"VSC1"[: len(rest)], "marker", "tampered")
        need(len(rest) >= 73, "chunk", "truncated")
        prefix = rest[:73]
        f = Fields(prefix[4:])
        kind: int
        size, index, kind, track = f.num("I"), f.num("Q"), f.num("B"), f.num("I")
        tracks, first, last, previous = f.num("I"), f.num("q"), f.num("q"), f.raw(32)
        need(1 <= kind <= 6, "kind", "tampered")
        good = size == 64 if kind == 6 else 17 <= size <= 16777232
        need(good and (track == NO_TRACK) == (kind not in (2, 3)), "prefix", "tampered")
        need((first == NO_PTS) == (last == NO_PTS) and first <= last, "span", "tampered")
        if len(rest) < 73 + size + 32:
            raise RefusedError("tampered" if self.goes_on() else "truncated", "chunk")
        body, stored = rest[73 : 73 + size], rest[73 + size : 105 + size]
        need(hashlib.sha256(prefix + body).digest() == stored, "hash", "tampered")
        need(index == self.index and previous == self.previous, "order", "tampered")
        if kind == 2:
            self.tracks.add(track)
        need(kind != 3 or track in self.tracks, "track never began", "tampered")
        need(tracks == len(self.tracks), "tracks", "tampered")
        if kind == 6:
            self.check_signature(index, previous, body, first)
        else:
            self.open_body(prefix, kind, track, body, (first, last))
        self.at += 105 + size
        self.index, self.previous = index + 1, stored
        return kind

    def goes_on(self) -> bool:
        """Whether a whole chunk with a good hash follows somewhere."""
        at = self.data.find(b"VSC1", self.at + 1)
        while at >= 0:
            (size,) = struct.unpack("<I", self.data[at + 4 : at + 8].ljust(4, b"\0"))
            chunk, stored = self.data[at : at + 73 + size], self.data[at + 73 + size :][:32]
            if hashlib.sha256(chunk).digest() == stored:
                return True
            at = self.data.find(b"VSC1", at + 1)
        return False

    def check_signature(self, index: int, previous: bytes, body: bytes, first: int) -> None:
        need(self.signer is not None and first == NO_PTS, "signature", "tampered")
        message = b"veilstream-keylog/1 signature" + self.h + struct.pack("<Q", index) + previous
        try:
            Ed25519PublicKey.from_public_bytes(self.signer or b"").verify(body, message)
        except InvalidSignature:
            raise RefusedError("tampered", "signature") from None

    def open_body(
        self, prefix: bytes, kind: int, track: int, body: bytes, span: tuple[int, int]
    ) -> None:
        above = self.key(b"track" + struct.pack("<I", track)) if kind in (2, 3) else None
        above = above or self.key(b"general")
        index = struct.pack("<Q", self.index)
        info = b"veilstream-keylog/1 chunk" + index + bytes([kind])
        cipher = ChaCha20Poly1305(hkdf(b"", above, info))
        try:
            if kind in (4, 5):
                data = body[:-16]
                cipher.decrypt(bytes(4) + index, body[-16:], self.h + prefix + data)
            else:
                data = cipher.decrypt(bytes(4) + index, body, self.h + prefix)
            records = parse_records(data, kind, track)
        except (InvalidTag, RefusedError) as exc:
            raise RefusedError("tampered", str(exc)) from None
        need(span_of(records) == span, "span", "tampered")
        need(kind != 5 or records[0]["tracks"] == len(self.tracks), "tracks", "tampered")
        self.records += records

    def read_all(self) -> None:
        is_final, closing = False, 5 if self.signer is None else 6
        while self.at < len(self.data):
            kind = self.read_chunk()
            need(not is_final or kind == 6, "chunk after the end", "tampered")
            is_final = is_final or kind == 5
            if is_final and kind == closing:
                need(self.at == len(self.data), "bytes after the end", "tampered")
                return
        raise RefusedError("truncated", "no end marker")


def links_of(data: bytes) -> tuple[bytes, bytes]:
    """What a complete log says of the log before it, and what the log after it must say."""
    (size,) = struct.unpack("<I", data[20:24])
    tool_at = 24 + 16 + 8 + 8
    before = data[tool_at + 1 + data[tool_at] :][:32]
    assert len(data) > 24 + size
    return before, data[-32:]


def read_key_log(
    data: bytes, password: bytes | None, secrets: Sequence[bytes], now_us: int
) -> tuple[str, list[RecordDict]]:
    """Reads a log.

    Args:
        data: the file.
        password: or None.
        secrets: X25519 secret keys.
        now_us: microseconds since 1970 UTC.

    Returns:
        The outcome (success, format, truncated, tampered, wrong-password, expired) and the
        records before.
    """
    records: list[RecordDict] = []
    try:
        log = Log(data, password, secrets, now_us)
        records = log.records
        log.read_all()
    except RefusedError as refused:
        return refused.outcome, records
    return "success", records
