"""The audit log of recoveries: who brought which faces back, when, and why.

One JSON object a line, each with the hash of the line before and, if there is a device key, a
signature. Cutting lines off the end is not visible from inside: keep the last hash elsewhere.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from engines.errors import KeyLogError, KeyLogTamperedError

__all__ = ["AuditEntry", "append_audit", "verify_audit"]

_START: Final = "0" * 64
_SIGNED_LABEL: Final = b"veilstream-audit/1 "
_MAX_LINE_BYTES: Final = 65536


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One recovery.

    Attributes:
        number: counts from 0.
        unix_s: when, seconds since 1970 UTC.
        who: person or role.
        action: such as "recover" or "grant".
        reason: why; never empty.
        details: what: log, tracks, span, mode, hashes.
        line_hash: SHA-256 of the line, hex.
        is_signed: it carries a signature.
    """

    number: int
    unix_s: int
    who: str
    action: str
    reason: str
    details: Mapping[str, str]
    line_hash: str
    is_signed: bool


def append_audit(
    path: Path,
    *,
    who: str,
    action: str,
    reason: str,
    details: Mapping[str, str],
    signer: Ed25519PrivateKey | None = None,
    now: Callable[[], float] = time.time,
) -> AuditEntry:
    """Check the log and add an entry; on disk when this returns.

    Raises:
        KeyLogError: no reason was given, or the file cannot be written.
        KeyLogTamperedError: what is there already was changed.
    """
    if not reason.strip() or not who.strip():
        raise KeyLogError("a recovery needs somebody who does it and a reason (--reason)")
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        with os.fdopen(os.open(path, flags, 0o600), "r+b") as file:
            # Two recoveries at once would both continue the same line.
            fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            entries = _parse(file.read(), path, None)
            body = {
                "number": len(entries),
                "unix_s": int(now()),
                "who": who,
                "action": action,
                "reason": reason,
                "details": dict(details),
                "previous": entries[-1].line_hash if entries else _START,
            }
            if signer is not None:
                body["signature"] = signer.sign(_SIGNED_LABEL + _canonical(body)).hex()
            line = _canonical(body) + b"\n"
            if len(line) > _MAX_LINE_BYTES:
                raise KeyLogError(f"an audit entry of {len(line)} bytes is over 64 KiB")
            file.write(line)
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise KeyLogError(f"cannot write audit log {path}: {exc.strerror}") from None
    return _entry(line[:-1], path, len(entries), str(body["previous"]), None)


def verify_audit(
    path: Path, *, device: bytes | None = None, last_hash: str | None = None
) -> tuple[AuditEntry, ...]:
    """Read the log and check its chain.

    Args:
        path: the log.
        device: Ed25519 public key that must have signed every entry; None checks no signature.
        last_hash: of the last entry that is known to exist, which must still be there.

    Raises:
        KeyLogTamperedError: an entry was changed, moved or removed, or is not signed by `device`.
        KeyLogError: the file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as exc:
        raise KeyLogError(f"cannot read audit log {path}: {exc.strerror}") from None
    entries = _parse(data, path, device)
    if last_hash is not None and last_hash not in {entry.line_hash for entry in entries}:
        raise KeyLogTamperedError(f"audit log {path} was cut: a known entry is missing")
    return entries


def _parse(data: bytes, path: Path, device: bytes | None) -> tuple[AuditEntry, ...]:
    if data and not data.endswith(b"\n"):
        raise KeyLogTamperedError(f"audit log {path}: its last line is cut")
    entries: list[AuditEntry] = []
    previous = _START
    for line in data.splitlines():
        entries.append(_entry(line, path, len(entries), previous, device))
        previous = entries[-1].line_hash
    return tuple(entries)


def _entry(line: bytes, path: Path, number: int, previous: str, device: bytes | None) -> AuditEntry:
    refused = KeyLogTamperedError(f"audit log {path}: entry {number} was changed or moved")
    try:
        body = json.loads(line)
        if _canonical(body) != line or body["number"] != number or body["previous"] != previous:
            raise refused
        signature = body.pop("signature", None)
        if device is not None:
            signed = _SIGNED_LABEL + _canonical(body)
            Ed25519PublicKey.from_public_bytes(device).verify(bytes.fromhex(signature), signed)
        return AuditEntry(
            number,
            int(body["unix_s"]),
            str(body["who"]),
            str(body["action"]),
            str(body["reason"]),
            {str(key): str(value) for key, value in body["details"].items()},
            hashlib.sha256(line).hexdigest(),
            signature is not None,
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, InvalidSignature):
        raise refused from None


def _canonical(body: object) -> bytes:
    return json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()
