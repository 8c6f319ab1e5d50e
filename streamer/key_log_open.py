"""Opening a key log's file: its header, and whether its retention time allows more."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from engines.errors import KeyLogError, KeyLogExpiredError
from streamer.key_log_envelope import MAX_ENVELOPE, Envelope, parse_envelope
from streamer.key_log_header import KeyLogHeader

__all__ = ["open_log_file", "read_envelope", "read_header", "require_unexpired"]


def read_envelope(file: BinaryIO) -> Envelope:
    """The header at the beginning of a file.

    Raises:
        KeyLogFormatError: not a key log, another version, or a damaged header.
        KeyLogTruncatedError: the file ends inside the header.
    """
    file.seek(0)
    return parse_envelope(file.read(MAX_ENVELOPE))


def read_header(path: Path) -> Envelope:
    """The header of a log, without a look at its chunks; needs no key and proves nothing.

    Raises:
        KeyLogFormatError: not a key log, another version, or a damaged header.
        KeyLogTruncatedError: the file ends inside the header.
        KeyLogError: it cannot be read.
    """
    with open_log_file(path) as file:
        return read_envelope(file)


def require_unexpired(header: KeyLogHeader, name: str, now_s: float) -> None:
    """Refuse a log whose retention time is over.

    Args:
        header: of the log.
        name: of the log, for the message.
        now_s: seconds since 1970 UTC.

    Raises:
        KeyLogExpiredError: it is over.
    """
    if 0 < header.expires_unix_us <= now_s * 1e6:
        ended = datetime.fromtimestamp(header.expires_unix_us / 1e6, UTC)
        raise KeyLogExpiredError(
            f"key log {name} expired on {ended:%Y-%m-%d %H:%M} UTC: its retention time is over, so "
            "it is not opened; `erase --expired` removes it"
        )


def open_log_file(path: Path) -> BinaryIO:
    """Open a log for reading.

    Raises:
        KeyLogError: it cannot be.
    """
    try:
        return path.open("rb")
    except OSError as exc:
        raise KeyLogError(f"cannot read key log {path}: {exc.strerror}") from None
