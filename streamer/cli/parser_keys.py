"""The commands around keys: keygen, recipients, grant, erase, audit."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

__all__ = [
    "add_audit_options",
    "add_key_commands",
    "add_key_log_options",
    "add_recovery_options",
    "add_unlock_options",
]

AddCommand: TypeAlias = Callable[[str, str], argparse.ArgumentParser]


def add_unlock_options(parser: argparse.ArgumentParser) -> None:
    """What opens a log: a password file, or secret keys."""
    parser.add_argument(
        "--password-file", type=Path, metavar="F",
        help="file that holds the password; without it and --identity it is asked for",
    )  # fmt: skip
    parser.add_argument(
        "--identity", type=Path, action="append", default=[], metavar="F",
        help="secret key file of a recipient; may be repeated, for shares",
    )  # fmt: skip


def add_audit_options(parser: argparse.ArgumentParser, *, is_required: bool = False) -> None:
    """Who does it, why, and where that is noted."""
    parser.add_argument(
        "--reason", required=is_required, metavar="TEXT", help="why; noted in the audit log"
    )
    parser.add_argument(
        "--by", metavar="NAME", help="who does it (default: the name of the account)"
    )
    parser.add_argument(
        "--audit-log", type=Path, metavar="F",
        help="note it there (default: the key log's name with .audit.jsonl added)",
    )  # fmt: skip
    parser.add_argument(
        "--device-key", type=Path, metavar="F",
        help="signs the note (default: a key of the account, made when it is first needed)",
    )  # fmt: skip


def add_recovery_options(parser: argparse.ArgumentParser) -> None:
    """What opens the log of a recovery, and how that is noted."""
    add_unlock_options(parser)
    parser.add_argument(
        "--grant", type=Path, metavar="F", help="open the log through this grant, with --identity"
    )
    _add_generation(parser)
    add_audit_options(parser, is_required=True)
    parser.add_argument(
        "--from", dest="from_s", metavar="TIME",
        help="only from here on: seconds or [H:]MM:SS of SRC's own time",
    )  # fmt: skip
    parser.add_argument("--to", dest="to_s", metavar="TIME", help="only up to here")
    parser.add_argument(
        "--sheet", type=Path, metavar="PNG",
        help="contact sheet of what comes back; without --out only the frames on it are restored",
    )  # fmt: skip
    parser.add_argument(
        "--report", type=Path, metavar="HTML",
        help="report for a case file: pictures, hashes, parameters, what is proven and what not",
    )  # fmt: skip


def _add_generation(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--min-generation", type=int, metavar="N",
        help="refuse a key log whose recipients were put back to before change N "
        "(default: the last change that the audit log knows)",
    )  # fmt: skip


def add_key_log_options(parser: argparse.ArgumentParser) -> None:
    """Who opens and who signs the log of a new recording."""
    parser.add_argument(
        "--recipient", action="append", metavar="KEY",
        help="vspub1:..., a public key that opens the log; then no password is asked for, and "
        "this machine cannot open what it has written; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--recipients-file", type=Path, metavar="F",
        help="list of more such keys, one a line; read again at each rotation of keys",
    )  # fmt: skip
    parser.add_argument(
        "--threshold", type=int, metavar="M", help="the recipients open the log only M together"
    )
    parser.add_argument(
        "--rotate-every", type=float, metavar="S",
        help="cameras: after so many seconds the log goes on in another one with a new key and the "
        "recipients of then; SIGUSR1 does the same at once",
    )  # fmt: skip
    parser.add_argument("--device-key", type=Path, metavar="F", help="key that signs the log")


def add_key_commands(add_command: AddCommand) -> None:
    """Add all of them.

    Args:
        add_command: makes a command from its name and help text, with its handler set.
    """
    keygen = add_command("keygen", "make a secret key for a recipient or a recording device")
    keygen.add_argument("--out", type=Path, required=True, metavar="FILE", help="must not exist")
    keygen.add_argument(
        "--device", action="store_true", help="a signing key for a device, not a recipient's key"
    )
    _add_recipients(add_command("recipients", "list, add or remove who can open a key log"))
    _add_grant(add_command("grant", "let a recipient see some tracks for a time, and no more"))
    erase = add_command("erase", "erase key logs for good, so that nobody can open them again")
    erase.add_argument("keylog", type=Path, nargs="*", metavar="KEYLOG", help="to be erased")
    erase.add_argument(
        "--expired", type=Path, metavar="FOLDER", help="all logs there whose retention time is over"
    )
    erase.add_argument("--receipts", type=Path, metavar="F", help="append receipts to this file")
    audit = add_command("audit", "check the audit log of recoveries and grants")
    audit.add_argument("log", type=Path, metavar="AUDIT", help="a key log's .audit.jsonl")
    audit.add_argument("--device", metavar="KEY", help="vsver1:... that must have signed it")
    audit.add_argument("--last-hash", metavar="HEX", help="a known entry that must be there still")
    audit.add_argument("--json", action="store_true", help="one JSON line instead of text")


def _add_recipients(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=("list", "add", "remove"), help="what to do")
    parser.add_argument("keylog", type=Path, metavar="KEYLOG", help="whose recipients are meant")
    parser.add_argument(
        "--to", action="append", default=[], metavar="KEY", help="vspub1:... to add"
    )
    parser.add_argument(
        "--threshold", type=int, metavar="M", help="the added ones open it only M together"
    )
    parser.add_argument(
        "--new-password-file", type=Path, metavar="F", help="also let this password in"
    )
    parser.add_argument("--label", metavar="NAME", help="public name to add under, or to remove")
    add_audit_options(parser)
    add_unlock_options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON line instead of text")


def _add_grant(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("keylog", type=Path, metavar="KEYLOG", help="that the grant opens")
    parser.add_argument(
        "--track", type=int, action="append", required=True, metavar="ID", help="may be repeated"
    )
    parser.add_argument("--from", dest="from_s", metavar="TIME", help="seconds or [H:]MM:SS")
    parser.add_argument("--to", dest="to_s", metavar="TIME", help="seconds or [H:]MM:SS")
    parser.add_argument("--to-recipient", required=True, metavar="KEY", help="vspub1:...")
    parser.add_argument("--out", type=Path, required=True, metavar="GRANT", help="must not exist")
    parser.add_argument(
        "--with-identity", action="store_true",
        help="grant the tracks' identities too; they know no time span",
    )  # fmt: skip
    add_audit_options(parser, is_required=True)
    add_unlock_options(parser)
    parser.add_argument("--json", action="store_true", help="one JSON line instead of text")
