"""What opens a key log on the command line: secret key files, a password file, or the terminal."""

from __future__ import annotations

import argparse
from dataclasses import dataclass

from streamer.cli.password import read_password
from streamer.key_log_crypto import X25519Identity
from streamer.recipient_keys import read_identity

__all__ = ["Unlocking", "read_unlocking"]


@dataclass(frozen=True, slots=True, repr=False)
class Unlocking:
    """Passed on to `KeyLogReader.open` and to changes of recipients.

    Attributes:
        password: or None.
        identities: secret keys.
    """

    password: bytes | None
    identities: tuple[X25519Identity, ...]


def read_unlocking(args: argparse.Namespace) -> Unlocking:
    """From `--identity` and `--password-file`, or by asking for the password.

    Raises:
        ConfigError: a file cannot be used, or nobody answers.
    """
    identities = tuple(read_identity(path) for path in args.identity)
    if identities and args.password_file is None:
        return Unlocking(None, identities)
    return Unlocking(read_password(args.password_file, confirm=False), identities)
