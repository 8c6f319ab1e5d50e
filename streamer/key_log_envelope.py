"""The key log's header as bytes: building, parsing and unlocking it.

Layout: docs/keylog-format.md, section 2. No I/O.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.primitives.constant_time import bytes_eq

from engines.errors import (
    KeyLogFormatError,
    KeyLogTamperedError,
    KeyLogTruncatedError,
    WrongPasswordError,
)
from streamer.key_log_access import (
    Access,
    PasswordStanza,
    ThresholdStanza,
    X25519Stanza,
    decode_access,
    encode_access,
)
from streamer.key_log_crypto import (
    FileKeys,
    X25519Identity,
    unwrap_with_identity,
    unwrap_with_master,
)
from streamer.key_log_header import (
    MAGIC,
    MAX_HEADER_PART,
    KeyLogHeader,
    core_hash,
    decode_core,
)
from streamer.keys import derive_master_key
from streamer.shamir import combine_shares

__all__ = ["MAX_ENVELOPE", "Envelope", "build_envelope", "parse_envelope", "unlock"]

_FAMILY: Final = b"veilstream-keylog/"
_MAC_BYTES: Final = 32
MAX_ENVELOPE: Final = len(MAGIC) + 2 * (4 + MAX_HEADER_PART) + 2 * _MAC_BYTES


@dataclass(frozen=True, slots=True)
class Envelope:
    """A parsed header.

    Attributes:
        header: its core.
        access: its recipients.
        core: the core's bytes.
        core_hash: 32 bytes, H.
        mac: 32 bytes.
        mac_input: the bytes that the MAC covers.
        size: bytes of the whole header; the first chunk begins there.
    """

    header: KeyLogHeader
    access: Access
    core: bytes
    core_hash: bytes
    mac: bytes
    mac_input: bytes
    size: int


def build_envelope(core: bytes, access: Access, keys: FileKeys) -> bytes:
    """The header's bytes.

    Raises:
        ValueError: the access part is too long.
    """
    rest = encode_access(access)
    covered = MAGIC + struct.pack("<I", len(core)) + core + struct.pack("<I", len(rest)) + rest
    data = covered + keys.header_mac(covered)
    return data + hashlib.sha256(data).digest()


def parse_envelope(data: bytes) -> Envelope:
    """Parse the header at the beginning of a log.

    Args:
        data: the first bytes of the file, at least `MAX_ENVELOPE` of them or all.

    Raises:
        KeyLogFormatError: not a key log, another version, or damaged.
        KeyLogTruncatedError: the file ends inside the header.
    """
    line = data[: len(MAGIC)]
    if not MAGIC.startswith(line):
        if line.startswith(_FAMILY):
            version = line.removeprefix(_FAMILY).split(b"\n")[0].decode("ascii", "replace")
            raise KeyLogFormatError(
                f"key log of version {version!r}; this program reads version 1, try a newer one"
            )
        raise KeyLogFormatError("not a key log (its first line is another one)")
    core, at = _part(data, len(MAGIC))
    access, at = _part(data, at)
    covered, end = data[:at], at + 2 * _MAC_BYTES
    if len(data) < end:
        raise KeyLogTruncatedError("the key log ends inside its header")
    if not bytes_eq(hashlib.sha256(data[: end - 32]).digest(), data[end - 32 : end]):
        raise KeyLogFormatError("the key log's header is damaged (its checksum does not fit)")
    return Envelope(
        decode_core(core),
        decode_access(access),
        core,
        core_hash(core),
        data[at : at + _MAC_BYTES],
        covered,
        end,
    )


def unlock(
    envelope: Envelope,
    *,
    password: bytes | None = None,
    identities: Sequence[X25519Identity] = (),
) -> FileKeys:
    """The keys of a log, by a password or by secret keys, whichever opens it.

    Raises:
        WrongPasswordError: neither does.
        KeyLogTamperedError: one does, but the header is not the one that was written.
    """
    file_key = _by_identities(envelope, identities)
    if file_key is None and password is not None:
        file_key = _by_password(envelope, password)
    if file_key is None:
        raise WrongPasswordError(_refusal(envelope, password))
    keys = FileKeys(file_key, envelope.core_hash)
    if not keys.check_header_mac(envelope.mac_input, envelope.mac):
        raise KeyLogTamperedError("the key log's header was changed after it was written")
    return keys


def _part(data: bytes, at: int) -> tuple[bytes, int]:
    if len(data) < at + 4:
        raise KeyLogTruncatedError("the key log ends inside its header")
    size = int.from_bytes(data[at : at + 4], "little")
    if not 1 <= size <= MAX_HEADER_PART:
        raise KeyLogFormatError(f"a header part of {size} bytes is impossible")
    if len(data) < at + 4 + size:
        raise KeyLogTruncatedError("the key log ends inside its header")
    return data[at + 4 : at + 4 + size], at + 4 + size


def _by_password(envelope: Envelope, password: bytes) -> bytes | None:
    if not password:
        return None
    for stanza in envelope.access.stanzas:
        if isinstance(stanza, PasswordStanza):
            master = derive_master_key(password, stanza.kdf)
            file_key = unwrap_with_master(stanza.wrapped, master, stanza.wrap_salt)
            master.wipe()
            if file_key is not None:
                return file_key
    return None


def _by_identities(envelope: Envelope, identities: Sequence[X25519Identity]) -> bytes | None:
    shares: dict[int, dict[int, bytes]] = {}
    for stanza in envelope.access.stanzas:
        if isinstance(stanza, PasswordStanza):
            continue
        what = b"wrap-x25519" if isinstance(stanza, X25519Stanza) else b"wrap-share"
        for identity in identities:
            if identity.public != stanza.recipient:
                continue
            secret = unwrap_with_identity(stanza.wrapped, stanza.ephemeral, identity, what=what)
            if secret is None:
                continue
            if not isinstance(stanza, ThresholdStanza):
                return secret
            group = shares.setdefault(stanza.group, {})
            group[stanza.x] = secret
            if len(group) == stanza.threshold:
                return combine_shares(group)
    return None


def _refusal(envelope: Envelope, password: bytes | None) -> str:
    has_password = any(isinstance(s, PasswordStanza) for s in envelope.access.stanzas)
    if password is not None and not has_password:
        return "this key log opens with a secret key, not with a password"
    if password is not None:
        return "the password does not open this key log"
    return "none of the given keys opens this key log"
