"""Who is to open new key logs: keys of the configuration and of a file that may change meanwhile.

The file has one public key a line, behind it a name if there is one; `#` begins a comment:

    vspub1:…  court
    vspub1:…  head of security
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from engines.errors import ConfigError
from streamer.key_log_recipients import Recipient
from streamer.recipient_keys import parse_public

__all__ = ["read_recipients", "recipients_of"]

_MAX_FILE_BYTES: Final = 65536
_MAX_RECIPIENTS: Final = 32
_MAX_LABEL_CHARS: Final = 60


def recipients_of(keys: tuple[str, ...], file: Path | None) -> tuple[Recipient, ...]:
    """All recipients, those of the configuration first.

    Args:
        keys: public keys (vspub1:...).
        file: a list of more, or None.

    Raises:
        ConfigError: a key or the file cannot be used, or there are too many.
    """
    found = [
        Recipient(f"recipient {number}", parse_public(text))
        for number, text in enumerate(keys, start=1)
    ]
    if file is not None:
        found += read_recipients(file, first_number=len(found) + 1)
    if len(found) > _MAX_RECIPIENTS:
        raise ConfigError(f"{len(found)} recipients are more than the {_MAX_RECIPIENTS} possible")
    return tuple(found)


def read_recipients(path: Path, *, first_number: int = 1) -> tuple[Recipient, ...]:
    """The recipients that a file lists.

    Args:
        path: the file.
        first_number: in the names of recipients that have none.

    Raises:
        ConfigError: it cannot be read, names nobody, or a line is no public key.
    """
    try:
        with path.open("rb") as stream:
            raw = stream.read(_MAX_FILE_BYTES + 1)
    except OSError as exc:
        raise ConfigError(f"cannot read recipients file {path}: {exc.strerror}") from None
    if len(raw) > _MAX_FILE_BYTES:
        raise ConfigError(f"recipients file {path} is over {_MAX_FILE_BYTES} bytes")
    found: list[Recipient] = []
    for number, line in enumerate(raw.decode("utf-8", "replace").splitlines(), start=1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        key, _, label = text.partition(" ")
        try:
            public = parse_public(key)
        except ConfigError as exc:
            raise ConfigError(f"recipients file {path}, line {number}: {exc}") from None
        name = label.strip()[:_MAX_LABEL_CHARS]
        found.append(Recipient(name or f"recipient {first_number + len(found)}", public))
    if not found:
        raise ConfigError(f"recipients file {path} names nobody")
    return tuple(found)
