"""The parts of a recording's key log after rotations of its keys: names, links, and opening them.

Rules: docs/keylog-format.md, section 11.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Generic, TypeVar

from cryptography.hazmat.primitives.constant_time import bytes_eq

from engines.errors import KeyLogError, KeyLogExpiredError, KeyLogFormatError, WrongPasswordError
from streamer.key_log_chunks import TAG_BYTES, ChunkKind
from streamer.key_log_format import decode_records
from streamer.key_log_framing import Scan, read_body, scan_chunks
from streamer.key_log_open import open_log_file, read_envelope
from streamer.key_log_records import NO_PTS, End

__all__ = [
    "LogLinks",
    "OpenParts",
    "ShutPart",
    "later_parts",
    "next_part",
    "open_parts",
    "part_path",
    "read_links",
]

_PART: Final = re.compile(r"(?P<stem>.+)\.part(?P<number>\d{4})")
_MOST_PARTS: Final = 9999
LogT = TypeVar("LogT")


def part_path(path: Path, number: int) -> Path:
    """Where part `number` of a recording's key log lies, if its first one is `path`."""
    return path if number == 1 else path.with_name(f"{path.stem}.part{number:04d}{path.suffix}")


def next_part(path: Path) -> Path:
    """Where the part after the one at `path` lies."""
    found = _PART.fullmatch(path.stem)
    if found is None:
        return part_path(path, 2)
    return part_path(path.with_name(found["stem"] + path.suffix), int(found["number"]) + 1)


def later_parts(path: Path) -> tuple[Path, ...]:
    """The parts after the one at `path` that lie there."""
    found: list[Path] = []
    part = next_part(path)
    while part.exists() and len(found) < _MOST_PARTS:
        found.append(part)
        part = next_part(part)
    return tuple(found)


@dataclass(frozen=True, slots=True)
class LogLinks:
    """What anybody can see of a log's place among the parts of its recording.

    Attributes:
        recording_id: 16 bytes.
        previous_log: 32 bytes, last hash of the part before; zeros for none.
        last_hash: 32 bytes, hash of the last chunk there is.
        first_pts: earliest pts, or None.
        last_pts: latest pts, or None.
        is_continued: it ends by saying that another part follows.
    """

    recording_id: bytes
    previous_log: bytes
    last_hash: bytes
    first_pts: int | None
    last_pts: int | None
    is_continued: bool

    def continues(self, before: LogLinks) -> bool:
        """Whether this part follows another one."""
        is_next = bytes_eq(self.previous_log, before.last_hash)
        return is_next and bytes_eq(self.recording_id, before.recording_id)


def read_links(path: Path) -> LogLinks:
    """The links of a log; needs no key.

    Raises:
        KeyLogFormatError: no key log.
        KeyLogTruncatedError: the file ends inside the header.
        KeyLogError: it cannot be read.
    """
    with open_log_file(path) as file:
        envelope = read_envelope(file)
        header = envelope.header
        scan = scan_chunks(
            file,
            start=envelope.size,
            core_hash=envelope.core_hash,
            has_signer=header.signer is not None,
            thorough=False,
        )
        is_continued = False
        for ref in scan.chunks[-2:]:
            if ref.prefix.kind is ChunkKind.FINAL:
                is_continued = _is_continued(read_body(file, ref))
    last_hash = scan.chunks[-1].stored_hash if scan.chunks else envelope.core_hash
    first, last = _span(scan)
    return LogLinks(header.recording_id, header.previous_log, last_hash, first, last, is_continued)


def _is_continued(body: bytes) -> bool:
    try:
        records = decode_records(body[:-TAG_BYTES], ChunkKind.FINAL, 0)
    except KeyLogFormatError:
        return False
    return isinstance(records[0], End) and records[0].status == "continued"


def _span(scan: Scan) -> tuple[int | None, int | None]:
    spans = [ref.prefix for ref in scan.chunks if ref.prefix.first_pts != NO_PTS]
    if not spans:
        return None, None
    return min(p.first_pts for p in spans), max(p.last_pts for p in spans)


@dataclass(frozen=True, slots=True)
class ShutPart:
    """A part that the keys at hand do not open.

    Attributes:
        path: where it lies.
        links: its place and span.
        reason: why, for people.
    """

    path: Path
    links: LogLinks
    reason: str


@dataclass(frozen=True, slots=True)
class OpenParts(Generic[LogT]):
    """A recording's key log as far as it could be opened.

    Attributes:
        logs: the open parts, in order; at least one.
        paths: where they lie.
        shut: parts that the keys at hand do not open.
        problems: parts that are missing or do not belong, for people.
    """

    logs: tuple[LogT, ...]
    paths: tuple[Path, ...]
    shut: tuple[ShutPart, ...]
    problems: tuple[str, ...]


def open_parts(path: Path, open_one: Callable[[Path], LogT]) -> OpenParts[LogT]:
    """Open a part and all that follow it.

    Args:
        path: the first part wanted; later ones are found by their names.
        open_one: opens one log.

    Raises:
        WrongPasswordError: no part opens.
        KeyLogExpiredError: the retention time of all parts is over.
        KeyLogError: the first part cannot be read; open parts were closed by the caller's stack.
    """
    logs: list[LogT] = []
    paths: list[Path] = []
    shut: list[ShutPart] = []
    refusal: WrongPasswordError | KeyLogExpiredError | None = None
    found, problems = _chain(path)
    for part, links in found:
        try:
            logs.append(open_one(part))
            paths.append(part)
        except (WrongPasswordError, KeyLogExpiredError) as exc:
            refusal = refusal or exc
            shut.append(ShutPart(part, links, str(exc)))
    if refusal is not None and not logs:
        raise refusal
    return OpenParts(tuple(logs), tuple(paths), tuple(shut), tuple(problems))


def _chain(path: Path) -> tuple[list[tuple[Path, LogLinks]], list[str]]:
    """A part and those that follow, each with its links, and what is wrong with the chain."""
    found = [(path, read_links(path))]
    for _ in range(_MOST_PARTS):
        part, links = found[-1]
        after = next_part(part)
        if not after.exists():
            if links.is_continued:
                return found, [
                    f"{part.name} says that the recording goes on in another log, but {after.name} "
                    "is not there: a part is missing"
                ]
            return found, []
        try:
            next_links = read_links(after)
        except KeyLogError as exc:
            return found, [f"{after.name} cannot be read and is left out: {exc}"]
        if not next_links.continues(links):
            return found, [
                f"{after.name} does not continue {part.name} as it is here: one of them is another "
                "recording's, was changed or cut; it is left out, with all after it"
            ]
        found.append((after, next_links))
    return found, []
