"""Recipients of a key log: making the stanzas that let them in."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from streamer.key_log_access import PasswordStanza, Stanza, ThresholdStanza, X25519Stanza
from streamer.key_log_crypto import FileKeys, wrap_for_master, wrap_for_recipient
from streamer.keys import SALT_BYTES, KdfParams, MasterKey, derive_master_key
from streamer.shamir import split_secret

__all__ = [
    "Recipient",
    "master_stanza",
    "password_stanza",
    "recipient_stanza",
    "recipient_stanzas",
    "threshold_stanzas",
]


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whoever may open a log with a secret key.

    Attributes:
        label: public name.
        public: 32 bytes, X25519 public key.
    """

    label: str
    public: bytes


def password_stanza(
    keys: FileKeys,
    password: bytes,
    kdf: KdfParams,
    *,
    label: str = "password",
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Stanza:
    """Lets a password in; stretches it, which takes a moment."""
    master = derive_master_key(password, kdf)
    stanza = master_stanza(keys, master, kdf, label=label, random_bytes=random_bytes)
    master.wipe()
    return stanza


def master_stanza(
    keys: FileKeys,
    master: MasterKey,
    kdf: KdfParams,
    *,
    label: str = "password",
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> Stanza:
    """Lets a password in that was stretched with `kdf` already."""
    wrap_salt = random_bytes(SALT_BYTES)
    return PasswordStanza(label, kdf, wrap_salt, wrap_for_master(keys.file_key, master, wrap_salt))


def recipient_stanza(keys: FileKeys, recipient: Recipient) -> Stanza:
    """Lets the owner of a public key in."""
    ephemeral, wrapped = wrap_for_recipient(keys.file_key, recipient.public)
    return X25519Stanza(recipient.label, recipient.public, ephemeral, wrapped)


def recipient_stanzas(
    keys: FileKeys,
    recipients: Sequence[Recipient],
    *,
    threshold: int | None,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> tuple[Stanza, ...]:
    """Lets each of the recipients in, or with a threshold so many of them together.

    Raises:
        ValueError: the threshold is below 2 or above the number of recipients.
    """
    if threshold is None or not recipients:
        return tuple(recipient_stanza(keys, recipient) for recipient in recipients)
    return threshold_stanzas(keys, recipients, threshold=threshold, random_bytes=random_bytes)


def threshold_stanzas(
    keys: FileKeys,
    recipients: Sequence[Recipient],
    *,
    threshold: int,
    group: int = 0,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> tuple[Stanza, ...]:
    """Lets any `threshold` of the recipients in together, and fewer not at all.

    Raises:
        ValueError: the threshold is below 2 or above the number of recipients.
    """
    shares = split_secret(
        keys.file_key, threshold=threshold, count=len(recipients), random_bytes=random_bytes
    )
    stanzas: list[Stanza] = []
    for (x, share), recipient in zip(shares.items(), recipients, strict=True):
        ephemeral, wrapped = wrap_for_recipient(share, recipient.public, what=b"wrap-share")
        stanzas.append(
            ThresholdStanza(
                recipient.label, group, threshold, x, recipient.public, ephemeral, wrapped
            )
        )
    return tuple(stanzas)
