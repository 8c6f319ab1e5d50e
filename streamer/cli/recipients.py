"""`recipients`: list, add and remove who can open a key log."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from engines.errors import ConfigError
from streamer.cli.auditing import open_auditor
from streamer.cli.output import print_json
from streamer.cli.unlock import read_unlocking
from streamer.key_log import Recipient
from streamer.key_log_access import Access, PasswordStanza, Stanza, ThresholdStanza
from streamer.key_log_crypto import FileKeys
from streamer.key_log_open import read_header
from streamer.key_log_recipients import password_stanza, recipient_stanza, threshold_stanzas
from streamer.key_log_rewrap import add_stanzas, remove_recipients
from streamer.keys import KdfParams
from streamer.passwords import read_password_file
from streamer.recipient_keys import parse_public, public_text

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Do it and print who can open the log now; returns the exit code."""
    if args.action == "list":
        _print(args, read_header(args.keylog).access)
        return 0
    if args.action == "remove" and args.label is None:
        raise ConfigError("say whom to remove with --label NAME")
    auditor = open_auditor(args, args.keylog, reason="not given")
    if args.action == "add":
        access = _add(args)
    else:
        unlocking = read_unlocking(args)
        access = remove_recipients(
            args.keylog, args.label, password=unlocking.password, identities=unlocking.identities
        )
    # From here on an older header is known to be old.
    details = {
        "key log": read_header(args.keylog).core_hash.hex(),
        "change": args.action,
        "label": args.label or "",
        "recipients": ",".join(args.to),
        "generation": str(access.generation),
    }
    auditor.note("recipients", details)
    _print(args, access)
    return 0


def _add(args: argparse.Namespace) -> Access:
    publics = [parse_public(text) for text in args.to]
    password = None
    if args.new_password_file is not None:
        password = read_password_file(args.new_password_file)
    if not publics and password is None:
        raise ConfigError("say whom to add with --to KEY or --new-password-file F")
    if args.threshold is not None and not 2 <= args.threshold <= min(len(publics), 32):
        raise ConfigError("--threshold M needs at least M keys, and an M of 2 to 32")

    def make(keys: FileKeys) -> Sequence[Stanza]:
        label = args.label or "recipient"
        guests = [Recipient(label, public) for public in publics]
        if args.threshold is not None:
            # A group number of its own keeps these shares apart from those of another group.
            taken = read_header(args.keylog).access.stanzas
            groups = [s.group for s in taken if isinstance(s, ThresholdStanza)]
            made = list(
                threshold_stanzas(
                    keys, guests, threshold=args.threshold, group=max(groups, default=-1) + 1
                )
            )
        else:
            made = [recipient_stanza(keys, guest) for guest in guests]
        if password is not None:
            name = args.label or "password"
            made.append(password_stanza(keys, password, KdfParams.generate(), label=name))
        return made

    unlocking = read_unlocking(args)
    return add_stanzas(
        args.keylog, make, password=unlocking.password, identities=unlocking.identities
    )


def _print(args: argparse.Namespace, access: Access) -> None:
    rows = [_describe(stanza) for stanza in access.stanzas]
    if args.json:
        print_json({"command": "recipients", "generation": access.generation, "recipients": rows})
        return
    print(f"change {access.generation}; opened by:")
    for row in rows:
        print("  " + "  ".join(str(value) for value in row.values()))


def _describe(stanza: Stanza) -> dict[str, Any]:
    if isinstance(stanza, PasswordStanza):
        return {"label": stanza.label, "kind": "password"}
    key = public_text(stanza.recipient)
    if isinstance(stanza, ThresholdStanza):
        kind = f"share {stanza.x} of group {stanza.group}, {stanza.threshold} needed"
        return {"label": stanza.label, "kind": kind, "key": key}
    return {"label": stanza.label, "kind": "key", "key": key}
