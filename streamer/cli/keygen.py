"""`keygen`: make a secret key and print its public one."""

from __future__ import annotations

import argparse

from streamer.recipient_keys import generate_device, generate_identity

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Write the key file; returns the exit code."""
    print(generate_device(args.out) if args.device else generate_identity(args.out))
    return 0
