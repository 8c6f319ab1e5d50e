"""Key files: X25519 keys of recipients and Ed25519 keys of devices, as short lines of text.

    vspub1:…  recipient, may be shown      vssec1:…  its secret key
    vsver1:…  device, may be shown         vsdev1:…  its signing key

Behind the colon stand the 32 key bytes and the first 4 bytes of SHA-256(prefix and key), so that a
typing error is found, in URL-safe base64.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engines.errors import ConfigError
from streamer.key_log_crypto import X25519Identity

__all__ = [
    "device_public_text",
    "generate_device",
    "generate_identity",
    "parse_device_public",
    "parse_public",
    "public_text",
    "read_device",
    "read_identity",
]

_PUBLIC: Final = "vspub1:"
_IDENTITY: Final = "vssec1:"
_DEVICE: Final = "vsdev1:"
_VERIFY: Final = "vsver1:"
_CHECK_BYTES: Final = 4
_MAX_FILE_BYTES: Final = 4096


def generate_identity(
    path: Path, random_bytes: Callable[[int], bytes] = secrets.token_bytes
) -> str:
    """Make a recipient's secret key in a new file of mode 0600; returns its public line.

    Raises:
        ConfigError: the file exists or cannot be written.
    """
    secret = random_bytes(32)
    public = public_text(X25519Identity(secret).public)
    _write(
        path, f"# veilstream secret key; its public key is {public}\n{_text(_IDENTITY, secret)}\n"
    )
    return public


def generate_device(path: Path, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """Make a device's signing key in a new file of mode 0600; returns its public line.

    Raises:
        ConfigError: the file exists or cannot be written.
    """
    secret = random_bytes(32)
    signer = Ed25519PrivateKey.from_private_bytes(secret)
    public = _text(_VERIFY, signer.public_key().public_bytes_raw())
    _write(path, f"# veilstream device key; its public key is {public}\n{_text(_DEVICE, secret)}\n")
    return public


def read_identity(path: Path) -> X25519Identity:
    """A recipient's secret key from its file.

    Raises:
        ConfigError: cannot be read, or is none.
    """
    return X25519Identity(_read(path, _IDENTITY))


def read_device(path: Path) -> Ed25519PrivateKey:
    """A device's signing key from its file.

    Raises:
        ConfigError: cannot be read, or is none.
    """
    return Ed25519PrivateKey.from_private_bytes(_read(path, _DEVICE))


def public_text(public: bytes) -> str:
    """The line that names a recipient."""
    return _text(_PUBLIC, public)


def device_public_text(public: bytes) -> str:
    """The line that names a device."""
    return _text(_VERIFY, public)


def parse_public(text: str) -> bytes:
    """A recipient's 32-byte public key from its line.

    Raises:
        ConfigError: it is none; a secret key is refused without being repeated.
    """
    return _parse(text.strip(), _PUBLIC)


def parse_device_public(text: str) -> bytes:
    """A device's 32-byte public key from its line.

    Raises:
        ConfigError: it is none.
    """
    return _parse(text.strip(), _VERIFY)


def _text(prefix: str, key: bytes) -> str:
    return prefix + base64.urlsafe_b64encode(key + _check(prefix, key)).decode()


def _check(prefix: str, key: bytes) -> bytes:
    return hashlib.sha256(prefix.encode() + key).digest()[:_CHECK_BYTES]


def _parse(text: str, prefix: str) -> bytes:
    if not text.startswith(prefix):
        found = text[: len(prefix)]
        known = (_PUBLIC, _IDENTITY, _DEVICE, _VERIFY)
        hint = f"this one begins with {found}" if found in known else "this is no key"
        raise ConfigError(f"a key that begins with {prefix} is needed here; {hint}")
    try:
        raw = base64.b64decode(text.removeprefix(prefix), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    key, check = raw[:32], raw[32:]
    if len(key) != 32 or check != _check(prefix, key):
        raise ConfigError(f"the key that begins with {prefix} is incomplete or mistyped")
    return key


def _read(path: Path, prefix: str) -> bytes:
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_FILE_BYTES).decode("ascii", "replace")
    except OSError as exc:
        raise ConfigError(f"cannot read key file {path}: {exc.strerror}") from None
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if len(keys) != 1:
        raise ConfigError(f"key file {path} must hold one key, not {len(keys)}")
    return _parse(keys[0], prefix)


def _write(path: Path, text: str) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)
    except OSError as exc:
        raise ConfigError(f"cannot write key file {path}: {exc.strerror}") from None
