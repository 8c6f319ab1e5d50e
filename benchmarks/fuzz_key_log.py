"""Fuzzes the key log: mutated logs must give only the documented errors, in bounded time.

`python -m benchmarks.fuzz_key_log --count 1000000`. Mutations: flipped bits, changed, inserted and
removed bytes, copied and swapped pieces, cuts; half of them with all public hashes made right
again, as an enemy would, so that they reach the deeper layers.
"""

from __future__ import annotations

import argparse
import io
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from engines.errors import AnonymizerError
from streamer.key_log import KeyLogReader, Recipient
from streamer.key_log_chunks import PREFIX_BYTES
from streamer.key_log_envelope import Envelope, parse_envelope, unlock
from tests.key_log_forge import identity, rechain, recheck, sample_records, write_log

__all__ = ["fuzz", "main"]

_OWNER = identity(1)
_SLOW_S = 0.5


def sample_log() -> bytes:
    """A log with every kind of record, opened by a key (a password would cost time)."""
    with tempfile.TemporaryDirectory() as folder:
        guests = (Recipient("owner", _OWNER.public),)
        path = Path(folder) / "a.keylog"
        return write_log(path, sample_records(), password=None, recipients=guests).read_bytes()


def mutate(data: bytes, rng: random.Random) -> bytes:
    """One to four random changes."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(out) + 1)
        size = rng.choice((1, 1, 2, 4, 8, 60, 200))
        kind = rng.randrange(7)
        if kind == 0 and at < len(out):
            out[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            out[at : at + size] = rng.randbytes(size)
        elif kind == 2:
            out[at:at] = rng.randbytes(size)
        elif kind == 3:
            del out[at : at + size]
        elif kind == 4:
            start = rng.randrange(len(out) + 1)
            out[at:at] = out[start : start + rng.choice((size, 500))]
        elif kind == 5:
            value = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
            out[at : at + size] = bytes([value]) * size
        elif len(out) > 100:
            del out[at:]
        if not out:
            break
    return bytes(out)


def repaired(data: bytes, envelope: Envelope, original: bytes) -> bytes:
    """A mutant with its public hashes made right: header check, chunk hashes and links."""
    head = recheck(data[: envelope.size]) if len(data) >= envelope.size else data
    pieces = original.split(b"VSC1")[1:]
    at, chunks = envelope.size, []
    for piece in pieces:
        chunk = data[at : at + len(piece) + 4]
        at += len(piece) + 4
        if len(chunk) >= PREFIX_BYTES + 32:
            chunks.append(chunk)
    return head + rechain(chunks, envelope.core_hash)


def try_read(data: bytes) -> str:
    """What reading a mutant comes to: "success", or the name of a documented error.

    Raises:
        Exception: anything else, which is what the fuzzer looks for.
    """
    try:
        envelope = parse_envelope(data)
        keys = unlock(envelope, identities=[_OWNER])
        reader = KeyLogReader(io.BytesIO(data), "mutant", envelope, keys)
        list(reader.records(salvage=True))
        list(reader.records())
    except AnonymizerError as exc:
        return type(exc).__name__
    return "success"


def fuzz(count: int, *, seed: int = 0) -> Counter[str]:
    """Outcomes of `count` mutants."""
    rng = random.Random(seed)
    original = sample_log()
    envelope = parse_envelope(original)
    outcomes: Counter[str] = Counter()
    for _ in range(count):
        mutant = mutate(original, rng)
        if rng.randrange(2):
            mutant = repaired(mutant, envelope, original)
        began = time.process_time()
        outcomes[try_read(mutant)] += 1
        if time.process_time() - began > _SLOW_S:
            outcomes["slow"] += 1
        if mutant == original:
            outcomes["unchanged"] += 1
    return outcomes


def main() -> int:
    """Run and print the outcomes; 1 if a mutant was accepted or slow."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    outcomes = fuzz(args.count, seed=args.seed)
    seconds = time.process_time() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    for name, number in outcomes.most_common():
        sys.stdout.write(f"{name:24} {number}\n")
    sys.stdout.write(
        f"{args.count} mutants, {seconds:.0f} CPU s, {1e6 * seconds / args.count:.0f} us each, "
        f"memory grew {grown:.0f} MiB\n"
    )
    accepted = outcomes["success"] - outcomes["unchanged"]
    return 1 if accepted > 0 or outcomes["slow"] else 0


if __name__ == "__main__":
    sys.exit(main())
