"""The audit options of a command: who, why, and where that is noted."""

from __future__ import annotations

import argparse
from pathlib import Path

from streamer.audit_operator import (
    Auditor,
    default_audit_log,
    operator_key,
    operator_key_path,
    operator_name,
)

__all__ = ["open_auditor"]


def open_auditor(args: argparse.Namespace, keylog: Path, *, reason: str | None = None) -> Auditor:
    """What notes the command.

    Args:
        args: with the options of `add_audit_options`.
        keylog: the audit log lies beside it, unless another is named.
        reason: when the command needs none from its user.

    Raises:
        ConfigError: there is no key to sign with.
    """
    return Auditor(
        args.audit_log or default_audit_log(keylog),
        who=operator_name(args.by),
        reason=args.reason or reason or "",
        signer=operator_key(args.device_key, operator_key_path()),
    )
