"""Print the figures of the shipped networks: ``python -m benchmarks.models``."""

from __future__ import annotations

import argparse
import importlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

__all__ = ["main"]

_PARTS: Final = ("detector", "landmarks", "encoder", "generator")


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="benchmarks.models", description=__doc__)
    parser.add_argument(
        "parts", nargs="*", help="detector, landmarks, encoder, generator; default all"
    )
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--quick", action="store_true", help="fewer pictures")
    for part in ("detector", "generator"):
        parser.add_argument(
            f"--{part}", type=Path, metavar="JSON",
            help=f"manifest of another {part} than the one that ships, such as its INT8 form",
        )  # fmt: skip
    parser.add_argument("--json", type=Path, help="write the figures here too")
    args = parser.parse_args(argv)
    if unknown := set(args.parts) - set(_PARTS):
        parser.error(f"unknown part: {', '.join(sorted(unknown))}")
    results = {}
    for part in args.parts or _PARTS:
        # A part is imported when asked for: its judges may need packages that others do not.
        module = importlib.import_module(f"benchmarks.models_{part}")
        chosen = getattr(args, part, None)
        other = {} if chosen is None else {"manifest": chosen}
        results[part] = module.evaluate(args.shared, quick=args.quick, **other)
        print(f"{part}\n{json.dumps(results[part], indent=2)}")
    if args.json is not None:
        args.json.parent.mkdir(parents=True, exist_ok=True)
        args.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
