"""Passwords: read from a file or a terminal, never from arguments or the environment."""

from __future__ import annotations

import getpass
import logging
import stat
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Final

from engines.errors import ConfigError

__all__ = ["normalise_password", "password_warning", "prompt_password", "read_password_file"]

_MAX_PASSWORD_BYTES: Final = 4096
_SHORT_PASSPHRASE_CHARS: Final = 10
_LOG = logging.getLogger(__name__)


def normalise_password(raw: bytes) -> bytes:
    """NFC for text, so that the same keys pressed elsewhere give the same bytes.

    Bytes that are not UTF-8 are taken as they are.
    """
    try:
        return unicodedata.normalize("NFC", raw.decode()).encode()
    except UnicodeDecodeError:
        return raw


def read_password_file(path: Path) -> bytes:
    """Read a password from a file; one trailing line break is not part of it.

    Raises:
        ConfigError: no such file, not readable, empty, or too long to be a password.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(path.stat().st_mode)
            raw = file.read(_MAX_PASSWORD_BYTES + 3)
    except OSError as exc:
        raise ConfigError(f"cannot read password file {path}: {exc.strerror}") from None
    if mode & 0o077:
        _LOG.warning("password file %s is readable by others; try: chmod 600 %s", path, path)
    raw = raw[:-2] if raw.endswith(b"\r\n") else raw.removesuffix(b"\n")
    if not raw:
        raise ConfigError(f"password file {path} is empty")
    if len(raw) > _MAX_PASSWORD_BYTES:
        raise ConfigError(
            f"password file {path} holds more than {_MAX_PASSWORD_BYTES} bytes; "
            "is it the right file?"
        )
    return normalise_password(raw)


def prompt_password(
    *,
    confirm: bool,
    ask: Callable[[str], str] = getpass.getpass,
    is_terminal: Callable[[], bool] = sys.stdin.isatty,
) -> bytes:
    """Ask on the terminal, without echo.

    Args:
        confirm: ask twice, where a typing error would lock the owner out.
        ask: shows a prompt and returns the line.
        is_terminal: whether somebody can answer.

    Raises:
        ConfigError: no terminal, empty answer, or two different answers.
    """
    if not is_terminal():
        raise ConfigError("no terminal to ask for the password on; use --password-file FILE")
    try:
        first = ask("Password: ")
        second = ask("Password again: ") if confirm and first else first
    except EOFError:
        raise ConfigError("no password given") from None
    if not first:
        raise ConfigError("the password is empty")
    if first != second:
        raise ConfigError("the two passwords differ")
    return normalise_password(first.encode(errors="surrogateescape"))


def password_warning(password: bytes) -> str | None:
    """One line for the user if the password is easily guessed, else None.

    The text says nothing about the password but its kind.
    """
    if password.isdigit() and len(password) <= len("123456"):
        return (
            "a password of six digits or fewer can be guessed from the key log in about a day on "
            "one machine; use a passphrase of five or more random words"
        )
    if len(password.decode(errors="replace")) < _SHORT_PASSPHRASE_CHARS:
        return (
            f"a password of fewer than {_SHORT_PASSPHRASE_CHARS} characters can be guessed; "
            "use a passphrase of five or more random words"
        )
    return None
