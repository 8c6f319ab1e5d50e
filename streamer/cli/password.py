"""Where commands get the password from: a file, or the terminal."""

from __future__ import annotations

from pathlib import Path

from streamer.passwords import prompt_password, read_password_file

__all__ = ["read_password"]


def read_password(path: Path | None, *, confirm: bool) -> bytes:
    """The password.

    Args:
        path: the file, None to ask on the terminal.
        confirm: ask twice.

    Raises:
        ConfigError: there is none.
    """
    return prompt_password(confirm=confirm) if path is None else read_password_file(path)
