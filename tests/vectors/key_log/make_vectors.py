"""Writes the key log's vectors that are not there yet.

Run as `python -m tests.vectors.key_log.make_vectors`.
A vector that was released is never changed; delete one by hand only before its first release.
The expected records are those of the independent reader; the product is then tested against them.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from tests.independent_key_log_reader import read_key_log
from tests.key_log_vectors import Vector
from tests.vectors.key_log.cases_chunks import chunk_cases
from tests.vectors.key_log.cases_header import header_cases
from tests.vectors.key_log.cases_valid import recipient_cases, valid_cases

HERE = Path(__file__).resolve().parent


def all_cases() -> Iterator[tuple[str, Vector]]:
    return chain(valid_cases(), recipient_cases(), header_cases(), chunk_cases())


def main() -> int:
    wrong = 0
    for name, vector in all_cases():
        path = HERE / f"{name}.txt"
        if path.exists():
            continue
        outcome, records = read_key_log(vector.body, vector.password, vector.secrets, vector.now_us)
        if outcome != vector.expect:
            sys.stderr.write(f"{name}: the independent reader says {outcome}\n")
            wrong += 1
            continue
        path.write_text(dataclasses.replace(vector, records=tuple(records)).dump())
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
