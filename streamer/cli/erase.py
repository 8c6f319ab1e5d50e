"""`erase`: erase key logs for good, with a receipt for each."""

from __future__ import annotations

import argparse
from pathlib import Path

from engines.errors import ConfigError, KeyLogError
from streamer.key_log_erase import Receipt, erase_expired, erase_key_log
from streamer.key_log_open import read_header
from streamer.key_log_parts import later_parts

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Erase, and print a receipt for each log as one JSON line; returns the exit code."""
    if not args.keylog and args.expired is None:
        raise ConfigError("name key logs to erase, or a folder with --expired FOLDER")
    for path in args.keylog:
        # The last part first: whoever finds a part must be able to find those after it.
        for part in (*reversed(_parts_of(path)), path):
            _report(erase_key_log(part), args.receipts)
    if args.expired is not None:
        if not args.expired.is_dir():
            raise ConfigError(f"{args.expired} is no folder")
        for receipt in erase_expired(args.expired):
            _report(receipt, args.receipts)
    return 0


def _parts_of(path: Path) -> list[Path]:
    """Later parts of the same recording; another recording's files are left alone."""
    recording_id = read_header(path).header.recording_id
    return [
        part for part in later_parts(path) if read_header(part).header.recording_id == recording_id
    ]


def _report(receipt: Receipt, file: Path | None) -> None:
    print(receipt.to_json())
    if file is None:
        return
    try:
        with file.open("a", encoding="utf-8") as stream:
            stream.write(receipt.to_json() + "\n")
    except OSError as exc:
        raise KeyLogError(f"cannot write receipt to {file}: {exc.strerror}") from None
