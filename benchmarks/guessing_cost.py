"""What guessing a password of a key log costs: one Argon2id run a guess, in processor time.

`python -m benchmarks.guessing_cost` measures the default cost on this machine and prints the table
of docs/threat-model.md.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from streamer.keys import KdfParams, derive_master_key

__all__ = ["PASSWORDS", "main", "measure_guess_s", "spelled"]

PASSWORDS: Final = {
    "six digits": 10.0**6,
    "eight random letters and digits": 36.0**8,
    "four words of a list of 7,776": 7776.0**4,
    "six words of a list of 7,776": 7776.0**6,
}
_CORES: Final = 1000
_STEPS: Final = (
    (365.25 * 86400, "years"),
    (86400, "days"),
    (3600, "hours"),
    (60, "minutes"),
    (1, "seconds"),
)


def measure_guess_s(
    params: KdfParams, *, runs: int, now: Callable[[], float] = time.process_time
) -> float:
    """Processor seconds of one guess: the least of some runs, as an attacker would tune it."""
    times = []
    for number in range(runs):
        began = now()
        derive_master_key(f"guess {number}".encode(), params).wipe()
        times.append(now() - began)
    return min(times)


def spelled(seconds: float) -> str:
    """A time in its largest unit, two digits."""
    for size, name in _STEPS:
        if seconds >= size:
            value = seconds / size
            return f"{value:.2g} {name}" if value < 1e4 else f"{value:.0e} {name}"
    return f"{seconds:.2g} seconds"


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="benchmarks.guessing_cost", description=__doc__)
    parser.add_argument("--runs", type=int, default=7)
    args = parser.parse_args(argv)
    params = KdfParams(bytes(16))
    guess_s = measure_guess_s(params, runs=args.runs)
    print(
        f"Argon2id with {params.memory_kib // 1024} MiB, {params.iterations} passes, "
        f"{params.lanes} lanes: {guess_s:.3f} CPU s a guess"
    )
    print(f"| password | guesses | processor time to try all | on {_CORES:,} such cores |")
    print("| --- | --- | --- | --- |")
    for name, guesses in PASSWORDS.items():
        total_s = guesses * guess_s
        print(f"| {name} | {guesses:.1e} | {spelled(total_s)} | {spelled(total_s / _CORES)} |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
