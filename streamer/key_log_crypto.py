"""The key log's cryptography: wrapping the file key, header MAC, sealing and opening chunks.

Constructions: docs/keylog-format.md, sections 2 and 3. Every primitive comes from `cryptography`.
"""

from __future__ import annotations

import hashlib
import struct
from typing import Final

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.constant_time import bytes_eq
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC

from engines.errors import KeyLogTamperedError
from streamer.key_log_chunks import TAG_BYTES, ChunkKind, ChunkPrefix, encode_prefix
from streamer.keys import MasterKey, derive_key

__all__ = [
    "FileKeys",
    "X25519Identity",
    "chunk_hash",
    "open_chunk",
    "sign_chunk",
    "unwrap_with_identity",
    "unwrap_with_master",
    "verify_signature",
    "wrap_for_master",
    "wrap_for_recipient",
]

_ZERO_NONCE: Final = bytes(12)
# A stream of months has any number of tracks.
_MOST_KNOWN_KEYS: Final = 256
_LABEL: Final = b"veilstream-keylog/1 "


class X25519Identity:
    """A recipient's secret key. Its bytes appear in no repr."""

    __slots__ = ("_secret", "public")

    def __init__(self, secret: bytes) -> None:
        self._secret = X25519PrivateKey.from_private_bytes(secret)
        self.public: bytes = self._secret.public_key().public_bytes_raw()

    def __repr__(self) -> str:
        return "X25519Identity(***)"

    def shared(self, public: bytes) -> bytes:
        """Shared secret with a public key.

        Raises:
            ValueError: the public key gives the all-zero secret.
        """
        return self._secret.exchange(X25519PublicKey.from_public_bytes(public))


class FileKeys:
    """All keys of one log, from its file key. Its bytes appear in no repr.

    Attributes:
        core_hash: 32 bytes, H of the header.

    Args:
        file_key: 32 bytes; kept in memory of its own, which `wipe` overwrites.
        core_hash: 32 bytes.
    """

    __slots__ = ("_above", "_file_key", "core_hash")

    def __init__(self, file_key: bytes, core_hash: bytes) -> None:
        self._file_key = bytearray(file_key)
        # Keys of the tracks in use: a track has a chunk for every flush.
        self._above: dict[int, bytearray] = {}
        self.core_hash = core_hash

    def __repr__(self) -> str:
        return "FileKeys(***)"

    def __reduce__(self) -> str:
        raise TypeError("a log's keys are never pickled or copied")

    @property
    def file_key(self) -> bytes:
        """A copy of the file key, to be wrapped for somebody.

        Raises:
            ValueError: the keys were wiped.
        """
        if not self._file_key:
            raise ValueError("the log's keys were wiped")
        return bytes(self._file_key)

    def wipe(self) -> None:
        """Overwrite the file key. Copies made by libraries cannot be reached from Python."""
        self._file_key[:] = bytes(len(self._file_key))
        self._file_key.clear()
        self._forget()

    def _forget(self) -> None:
        for key in self._above.values():
            key[:] = bytes(len(key))
        self._above.clear()

    def header_mac(self, data: bytes) -> bytes:
        """MAC over the header's bytes; 32 bytes."""
        mac = HMAC(self._derive(b"header-mac"), SHA256())
        mac.update(data)
        return mac.finalize()

    def check_header_mac(self, data: bytes, mac: bytes) -> bool:
        """Whether the MAC is right, compared in constant time."""
        return bytes_eq(self.header_mac(data), mac)

    def track_key(self, track_id: int) -> bytes:
        """The key that opens one track's chunks and nothing else."""
        return self._derive(b"track" + struct.pack("<I", track_id))

    def general_key(self) -> bytes:
        """The key of what belongs to no track."""
        return self._derive(b"general")

    def chunk_key(self, prefix: ChunkPrefix) -> bytes:
        """The key that opens one chunk and nothing else."""
        above = self._above.get(prefix.track_id)
        if above is None:
            has_track = prefix.kind.has_track
            key = self.track_key(prefix.track_id) if has_track else self.general_key()
            if len(self._above) >= _MOST_KNOWN_KEYS:
                self._forget()
            above = self._above[prefix.track_id] = bytearray(key)
        info = _LABEL + b"chunk" + struct.pack("<QB", prefix.index, prefix.kind)
        return derive_key(above, salt=b"", info=info)

    def seal(self, prefix: ChunkPrefix, records: bytes) -> bytes:
        """The body of a chunk whose prefix is complete."""
        cipher = ChaCha20Poly1305(self.chunk_key(prefix))
        bound = self.core_hash + encode_prefix(prefix)
        if prefix.kind.is_plain:
            return records + cipher.encrypt(_nonce(prefix), b"", bound + records)
        return cipher.encrypt(_nonce(prefix), records, bound)

    def open(self, prefix: ChunkPrefix, body: bytes) -> bytes:
        """The records of a chunk.

        Raises:
            KeyLogTamperedError: it is not what this log's writer wrote at this place.
        """
        return open_chunk(self.chunk_key(prefix), self.core_hash, prefix, body)

    def _derive(self, what: bytes) -> bytes:
        if not self._file_key:
            raise ValueError("the log's keys were wiped")
        return derive_key(self._file_key, salt=self.core_hash, info=_LABEL + what)


def open_chunk(key: bytes, core_hash: bytes, prefix: ChunkPrefix, body: bytes) -> bytes:
    """The records of a chunk, with its own key, as a grant holds it.

    Raises:
        KeyLogTamperedError: the tag does not fit.
    """
    cipher = ChaCha20Poly1305(key)
    bound = core_hash + encode_prefix(prefix)
    try:
        if prefix.kind.is_plain:
            records = body[:-TAG_BYTES]
            cipher.decrypt(_nonce(prefix), body[-TAG_BYTES:], bound + records)
            return records
        return cipher.decrypt(_nonce(prefix), body, bound)
    except InvalidTag:
        raise KeyLogTamperedError(
            f"chunk {prefix.index} ({prefix.kind.name}) is not what was written there"
        ) from None


def chunk_hash(prefix: bytes, body: bytes) -> bytes:
    """SHA-256 that closes a chunk; 32 bytes."""
    digest = hashlib.sha256(prefix)
    digest.update(body)
    return digest.digest()


def wrap_for_master(file_key: bytes, master: MasterKey, wrap_salt: bytes) -> bytes:
    """The file key wrapped for a password; 48 bytes. `wrap_salt` is used this once."""
    return ChaCha20Poly1305(_password_kek(master, wrap_salt)).encrypt(_ZERO_NONCE, file_key, None)


def unwrap_with_master(wrapped: bytes, master: MasterKey, wrap_salt: bytes) -> bytes | None:
    """The file key, or None if the password is another one."""
    return _unwrap(_password_kek(master, wrap_salt), wrapped)


def wrap_for_recipient(
    secret: bytes, recipient: bytes, *, what: bytes = b"wrap-x25519"
) -> tuple[bytes, bytes]:
    """A secret wrapped for a public key.

    Args:
        secret: 32 bytes, the file key or a share of it.
        recipient: 32 bytes, X25519 public key.
        what: label that keeps the kinds of stanzas apart.

    Returns:
        Ephemeral public key (32 bytes) and wrapped secret (48 bytes).

    Raises:
        ValueError: the public key is one that gives no secret.
    """
    ephemeral = X25519PrivateKey.generate()
    public = ephemeral.public_key().public_bytes_raw()
    shared = ephemeral.exchange(X25519PublicKey.from_public_bytes(recipient))
    kek = _recipient_kek(shared, public, recipient, what)
    return public, ChaCha20Poly1305(kek).encrypt(_ZERO_NONCE, secret, None)


def unwrap_with_identity(
    wrapped: bytes,
    ephemeral: bytes,
    identity: X25519Identity,
    *,
    what: bytes = b"wrap-x25519",
) -> bytes | None:
    """The secret, or None if it was wrapped for somebody else."""
    try:
        shared = identity.shared(ephemeral)
    except ValueError:
        return None
    return _unwrap(_recipient_kek(shared, ephemeral, identity.public, what), wrapped)


def sign_chunk(signer: Ed25519PrivateKey, core_hash: bytes, index: int, previous: bytes) -> bytes:
    """Body of a SIGNATURE chunk: vouches for all chunks before it; 64 bytes."""
    return signer.sign(_signed(core_hash, index, previous))


def verify_signature(public: bytes, core_hash: bytes, prefix: ChunkPrefix, body: bytes) -> bool:
    """Whether a SIGNATURE chunk was made by the holder of the device key."""
    if prefix.kind is not ChunkKind.SIGNATURE:
        return False
    message = _signed(core_hash, prefix.index, prefix.previous)
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(body, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _nonce(prefix: ChunkPrefix) -> bytes:
    return bytes(4) + struct.pack("<Q", prefix.index)


def _signed(core_hash: bytes, index: int, previous: bytes) -> bytes:
    return _LABEL + b"signature" + core_hash + struct.pack("<Q", index) + previous


def _password_kek(master: MasterKey, wrap_salt: bytes) -> bytes:
    return master.derive(salt=wrap_salt, info=_LABEL + b"wrap-password")


def _recipient_kek(shared: bytes, ephemeral: bytes, recipient: bytes, what: bytes) -> bytes:
    return derive_key(shared, salt=ephemeral + recipient, info=_LABEL + what)


def _unwrap(kek: bytes, wrapped: bytes) -> bytes | None:
    try:
        return ChaCha20Poly1305(kek).decrypt(_ZERO_NONCE, wrapped, None)
    except InvalidTag:
        return None
