"""Who answers for a recovery on this machine: the operator's name, signing key and audit log."""

from __future__ import annotations

import logging
import os
import pwd
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from engines.errors import ConfigError
from streamer.audit_log import AuditEntry, append_audit, verify_audit
from streamer.recipient_keys import device_public_text, generate_device, read_device

__all__ = ["Auditor", "default_audit_log", "operator_key", "operator_key_path", "operator_name"]

_LOG = logging.getLogger(__name__)


def operator_name(given: str | None) -> str:
    """Who does it: as told, or the name of the account.

    Args:
        given: what the user said, or None.
    """
    if given is not None:
        return given
    number = os.getuid()
    try:
        # Not from the environment, which anybody sets as they like.
        account = pwd.getpwuid(number).pw_name
    except KeyError:
        account = f"number {number}"
    return f"account {account}"


def default_audit_log(keylog: Path) -> Path:
    """Where recoveries from a log are noted when nothing else is said: beside it."""
    return keylog.with_name(keylog.name + ".audit.jsonl")


def operator_key_path() -> Path:
    """Where the account's own signing key lies."""
    return Path.home() / ".config" / "veilstream" / "audit.key"


def operator_key(given: Path | None, default: Path) -> Ed25519PrivateKey:
    """The key that signs audit entries.

    Args:
        given: file of a device key, or None for the account's own.
        default: file of the account's own, which is made when it is not there.

    Raises:
        ConfigError: the key cannot be read, or not be made.
    """
    if given is not None:
        return read_device(given)
    if not default.exists():
        try:
            default.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as exc:
            raise ConfigError(
                f"cannot make {default.parent} for the key that signs the audit log: "
                f"{exc.strerror}; name a key with --device-key"
            ) from None
        public = generate_device(default)
        _LOG.warning(
            "made a key that signs your entries in audit logs, %s; keep its public key %s where "
            "others can check it",
            default,
            public,
        )
    return read_device(default)


class Auditor:
    """Adds signed notes to an audit log, for one person and one purpose.

    Attributes:
        path: the audit log.
        who: who does it.

    Args:
        path: the audit log; made when it is not there.
        who: who does it.
        reason: why.
        signer: signs the notes.
    """

    def __init__(self, path: Path, *, who: str, reason: str, signer: Ed25519PrivateKey) -> None:
        self.path, self.who = path, who
        self._reason, self._signer = reason, signer

    @property
    def signer_text(self) -> str:
        """The public line of the signing key, vsver1:..."""
        return device_public_text(self._signer.public_key().public_bytes_raw())

    def note(self, action: str, details: Mapping[str, str]) -> AuditEntry:
        """Add an entry; on disk when this returns.

        Raises:
            KeyLogError: no reason was given, or the file cannot be written.
            KeyLogTamperedError: what is there already was changed.
        """
        return append_audit(
            self.path, who=self.who, action=action, reason=self._reason, details=details,
            signer=self._signer,
        )  # fmt: skip

    def latest_generations(self) -> dict[str, int]:
        """The last change of recipients that the audit log knows of, by the hex of a log's H.

        A header of an older generation was put back, and could let removed recipients in again.

        Raises:
            KeyLogTamperedError: the audit log was changed.
        """
        latest: dict[str, int] = {}
        for entry in verify_audit(self.path) if self.path.exists() else ():
            name, number = entry.details.get("key log", ""), entry.details.get("generation", "")
            if entry.action == "recipients" and number.isdecimal():
                latest[name] = max(latest.get(name, 0), int(number))
        return latest
