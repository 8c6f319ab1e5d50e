"""Who can open a key log: the stanzas of its header's access part.

Layout and rules: docs/keylog-format.md, section 2.2. No I/O and no cryptography.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, TypeAlias

from engines.errors import KeyLogFormatError
from streamer.key_log_header import MAX_HEADER_PART, pack_kdf, read_kdf
from streamer.key_log_wire import ByteReader, check_range, pack_bytes16, pack_str8
from streamer.keys import SALT_BYTES, KdfParams

__all__ = [
    "Access",
    "PasswordStanza",
    "Stanza",
    "ThresholdStanza",
    "X25519Stanza",
    "decode_access",
    "encode_access",
]

_MAX_STANZAS: Final = 64
_MAX_PASSWORDS: Final = 8
_MAX_COST_KIB: Final = 4 << 20
_WRAPPED_BYTES: Final = 48


@dataclass(frozen=True, slots=True)
class PasswordStanza:
    """The file key wrapped for a password.

    Attributes:
        label: whose, public text.
        kdf: salt and cost.
        wrap_salt: 16 bytes, used for this stanza only.
        wrapped: 48 bytes.
    """

    label: str
    kdf: KdfParams
    wrap_salt: bytes
    wrapped: bytes

    def __post_init__(self) -> None:
        _require(self.wrap_salt, SALT_BYTES)
        _require(self.wrapped, _WRAPPED_BYTES)


@dataclass(frozen=True, slots=True)
class X25519Stanza:
    """The file key wrapped for a public key.

    Attributes:
        label: whose, public text.
        recipient: 32 bytes, the recipient's public key.
        ephemeral: 32 bytes, used for this stanza only.
        wrapped: 48 bytes.
    """

    label: str
    recipient: bytes
    ephemeral: bytes
    wrapped: bytes

    def __post_init__(self) -> None:
        _require(self.recipient, 32)
        _require(self.ephemeral, 32)
        _require(self.wrapped, _WRAPPED_BYTES)


@dataclass(frozen=True, slots=True)
class ThresholdStanza:
    """One share of the file key, wrapped for a public key; `threshold` of them open the log.

    Attributes:
        label: whose, public text.
        group: which shares belong together.
        threshold: how many are needed, 2..32.
        x: where the share lies on the polynomial, 1..255.
        recipient: 32 bytes.
        ephemeral: 32 bytes.
        wrapped: 48 bytes.
    """

    label: str
    group: int
    threshold: int
    x: int
    recipient: bytes
    ephemeral: bytes
    wrapped: bytes

    def __post_init__(self) -> None:
        check_range("group", self.group, 0, 255)
        check_range("threshold", self.threshold, 2, 32)
        check_range("x", self.x, 1, 255)
        _require(self.recipient, 32)
        _require(self.ephemeral, 32)
        _require(self.wrapped, _WRAPPED_BYTES)


Stanza: TypeAlias = PasswordStanza | X25519Stanza | ThresholdStanza


@dataclass(frozen=True, slots=True)
class Access:
    """All stanzas of a log.

    Attributes:
        generation: counts the changes of recipients since the log was made.
        stanzas: in the order in which they were added.
    """

    generation: int
    stanzas: tuple[Stanza, ...]

    def __post_init__(self) -> None:
        check_range("generation", self.generation, 0, 0xFFFFFFFF)
        check_range("number of recipients", len(self.stanzas), 1, _MAX_STANZAS)
        costs = [
            stanza.kdf.memory_kib * stanza.kdf.iterations
            for stanza in self.stanzas
            if isinstance(stanza, PasswordStanza)
        ]
        check_range("number of passwords", len(costs), 0, _MAX_PASSWORDS)
        # A wrong password is tried against each of them, so the sum is what is bounded.
        check_range("Argon2id cost of all passwords", sum(costs), 0, _MAX_COST_KIB)
        groups: dict[int, tuple[int, set[int]]] = {}
        for stanza in self.stanzas:
            if not isinstance(stanza, ThresholdStanza):
                continue
            threshold, taken = groups.setdefault(stanza.group, (stanza.threshold, set()))
            if threshold != stanza.threshold or stanza.x in taken:
                raise ValueError(f"shares of group {stanza.group} do not belong together")
            taken.add(stanza.x)


def encode_access(access: Access) -> bytes:
    """The access part, without its length.

    Raises:
        ValueError: over 64 KiB.
    """
    parts = [struct.pack("<IB", access.generation, len(access.stanzas))]
    for stanza in access.stanzas:
        kind, body = _encode_stanza(stanza)
        parts.append(bytes([kind]) + pack_str8(stanza.label) + pack_bytes16(body))
    data = b"".join(parts)
    if len(data) > MAX_HEADER_PART:
        raise ValueError(f"an access part of {len(data)} bytes is over {MAX_HEADER_PART}")
    return data


def decode_access(data: bytes) -> Access:
    """The access part that `encode_access` spells this way.

    Raises:
        KeyLogFormatError: any field breaks its rules.
    """
    reader = ByteReader(data, "key log access part")
    generation, count = reader.u32(), reader.u8()
    try:
        access = Access(generation, tuple(_read_stanza(reader) for _ in range(count)))
    except ValueError as exc:
        raise KeyLogFormatError(f"key log access part: {exc}") from None
    reader.finish()
    return access


def _encode_stanza(stanza: Stanza) -> tuple[int, bytes]:
    if isinstance(stanza, PasswordStanza):
        return 1, pack_kdf(stanza.kdf) + stanza.wrap_salt + stanza.wrapped
    keys = stanza.recipient + stanza.ephemeral + stanza.wrapped
    if isinstance(stanza, X25519Stanza):
        return 2, keys
    return 3, bytes([stanza.group, stanza.threshold, stanza.x]) + keys


def _read_stanza(reader: ByteReader) -> Stanza:
    kind, label = reader.u8(), reader.str8()
    body = ByteReader(reader.take(reader.u16()), "key log recipient")
    stanza: Stanza
    if kind == 1:
        stanza = PasswordStanza(
            label, read_kdf(body), body.take(SALT_BYTES), body.take(_WRAPPED_BYTES)
        )
    elif kind == 2:
        stanza = X25519Stanza(label, body.take(32), body.take(32), body.take(_WRAPPED_BYTES))
    elif kind == 3:
        group, threshold, x = body.u8(), body.u8(), body.u8()
        stanza = ThresholdStanza(
            label, group, threshold, x, body.take(32), body.take(32), body.take(_WRAPPED_BYTES)
        )
    else:
        raise KeyLogFormatError(f"key log access part: unknown recipient type {kind}")
    body.finish()
    return stanza


def _require(value: bytes, size: int) -> None:
    if len(value) != size:
        raise ValueError(f"a recipient's field must have {size} bytes, not {len(value)}")
