"""The facts of a recovery for a case file: what went in, what was done, what came out."""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

from engines.errors import SinkError
from streamer.audit_log import AuditEntry
from streamer.job_header import TOOL
from streamer.key_log import OuterReport, inspect_outer
from streamer.recipient_keys import device_public_text
from streamer.recovery_request import RecoverReport, RecoverRequest

__all__ = ["Case", "FileFact", "collect_case", "file_fact", "limits_in_words", "proofs_in_words"]

_PACKAGES: Final = ("numpy", "opencv-python-headless", "av", "onnxruntime", "cryptography")
_BLOCK_BYTES: Final = 1 << 20
_GRANTED: Final = (
    "Through a grant: records at the border of the granted time were copied by whoever granted, "
    "and the log's list of digests was read without a key that proves it.",
)


@dataclass(frozen=True, slots=True)
class FileFact:
    """A file by its content.

    Attributes:
        role: what it is in this case.
        path: where it lies.
        size_bytes: its size.
        sha256: hex.
    """

    role: str
    path: str
    size_bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Case:
    """Everything that a report tells besides its pictures.

    Attributes:
        made: when, UTC.
        files: what went in and came out.
        parameters: name and value of what was asked for.
        logs: name and value of what the parts of the key log say, for each part.
        tools: name and version of what did it.
        audit: name and value of the audit entry.
        proven: what is proven, one sentence each.
        not_proven: what is not.
        unplaced: frames whose place is doubtful or unknown.
        warnings: everything else that could not be done.
    """

    made: str
    files: tuple[FileFact, ...]
    parameters: tuple[tuple[str, str], ...]
    logs: tuple[tuple[tuple[str, str], ...], ...]
    tools: tuple[tuple[str, str], ...]
    audit: tuple[tuple[str, str], ...]
    proven: tuple[str, ...]
    not_proven: tuple[str, ...]
    unplaced: tuple[str, ...]
    warnings: tuple[str, ...]


def collect_case(
    request: RecoverRequest,
    report: RecoverReport,
    *,
    opened_by: str,
    audit_log: Path,
    entry: AuditEntry,
    signer: str,
    made_s: float,
) -> Case:
    """Gather the facts.

    Args:
        request: what was asked for.
        report: what came of it.
        opened_by: what opened the key log, without anything secret.
        audit_log: where the recovery was noted.
        entry: the note.
        signer: public line of the key that signed it.
        made_s: now, seconds since 1970 UTC.

    Raises:
        SinkError: one of the files cannot be read.
        KeyLogError: the key log cannot be read.
    """
    outers = [inspect_outer(Path(path)) for path in report.logs]
    files = [file_fact("anonymised video", request.source)]
    files += [file_fact("key log", Path(path)) for path in report.logs]
    if request.grant is not None:
        files.append(file_fact("grant", request.grant))
    if request.out is not None:
        files.append(file_fact("recovered video", request.out))
    return Case(
        made=_utc(made_s),
        files=tuple(files),
        parameters=_parameters(request, report, opened_by),
        logs=tuple(_log_facts(outer) for outer in outers),
        tools=_tools(),
        audit=(
            ("audit log", str(audit_log)),
            ("entry", f"number {entry.number}, {_utc(entry.unix_s)}"),
            ("who", entry.who),
            ("reason", entry.reason),
            ("hash of the entry", entry.line_hash),
            ("signed by", signer),
        ),
        proven=proofs_in_words(report, outers),
        not_proven=limits_in_words(report, outers) + (_GRANTED if request.grant else ()),
        unplaced=report.placement[1:],
        warnings=report.warnings,
    )


def file_fact(role: str, path: Path) -> FileFact:
    """Size and hash of a file.

    Raises:
        SinkError: it cannot be read.
    """
    digest, size = hashlib.sha256(), 0
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                size += len(block)
    except OSError as exc:
        raise SinkError(f"cannot read {path}: {exc.strerror}") from None
    return FileFact(role, str(path), size, digest.hexdigest())


def proofs_in_words(report: RecoverReport, outers: Sequence[OuterReport]) -> tuple[str, ...]:
    """What is proven, in sentences for people who decide something by it."""
    lines = []
    if report.mode == "sealed":
        lines.append(
            "Each face region that came back was sealed by the program that made the key log, and "
            "was not changed since by anybody without the log's keys. Its pixels are those that "
            "this program had from the camera or file, each colour plane within 42 dB PSNR of "
            "them or equal to them."
        )
    else:
        lines.append(
            "The places and times of the faces come from the key log and were not changed since by "
            "anybody without its keys."
        )
    lines += [f"Video: {text}." for text in report.video]
    lines.append(f"Frames: {report.placement[0]}.")
    for number, outer in enumerate(outers, start=1):
        if outer.is_signature_good and outer.header.signer is not None:
            lines.append(
                f"Part {number} of the key log is signed, as a whole, with the device key "
                f"{device_public_text(outer.header.signer)}. That this is the camera's key must be "
                "known from elsewhere."
            )
    return tuple(lines)


def limits_in_words(report: RecoverReport, outers: Sequence[OuterReport]) -> tuple[str, ...]:
    """What is not proven."""
    lines = [
        "That the scene in front of the camera was real, and what was recorded before this program "
        "had it.",
        "Who a person is: a face is a picture, not a name.",
        "Anything about pictures outside of the face regions beyond what the digests say, and "
        "anything about sound, subtitles and the container's own data.",
    ]
    if report.mode != "sealed":
        lines.insert(
            0,
            "How the persons looked. These faces were drawn by a neural network from an identity "
            f"({report.mode} recovery); they show likely faces, not pixels of the recording, and "
            "must not be used to decide on details such as scars, injuries or lip movements.",
        )
    if not all(outer.is_signature_good for outer in outers) or not outers:
        lines.append(
            "That nobody with the log's keys (whoever can open it, or the machine that recorded) "
            "rewrote the log: it is not signed by a device, or its signature is not complete."
        )
    else:
        lines.append(
            "That the recording machine was honest: a signature shows which key signed, no more."
        )
    if not report.is_log_complete:
        lines.append("That the key log is complete: see the warnings.")
    return tuple(lines)


def _parameters(
    request: RecoverRequest, report: RecoverReport, opened_by: str
) -> tuple[tuple[str, str], ...]:
    tracks = "all" if request.tracks is None else ", ".join(map(str, request.tracks))
    span = request.span
    return (
        ("mode", report.mode + ("" if request.mode else " (the best that the log allows)")),
        ("tracks", tracks),
        ("from", "the beginning" if span.first_s is None else f"{float(span.first_s):.3f} s"),
        ("to", "the end" if span.last_s is None else f"{float(span.last_s):.3f} s"),
        ("opened by", opened_by),
        ("frames", str(report.frames)),
        ("frames in which faces came back", str(report.frames_with_faces)),
        ("frames proven by digests", str(report.frames_proven)),
        ("frames placed by time alone", str(report.frames_by_time)),
        ("frames not placed", str(report.frames_unplaced)),
    )


def _log_facts(outer: OuterReport) -> tuple[tuple[str, str], ...]:
    header = outer.header
    signature = {None: "none", True: "good", False: "BAD"}[outer.is_signature_good]
    facts = [
        ("recording", header.recording_id.hex()),
        ("log", outer.core_hash.hex()),
        ("made by", header.tool),
        ("created", _utc(header.created_unix_us / 1e6)),
        ("video", f"{header.width}x{header.height} {header.codec}"),
        ("rotation", f"{header.rotation}, {header.angle_deg:g} degrees, per {header.scope}"),
        ("change of recipients", str(outer.access.generation)),
        ("device signature", signature),
        ("end marker", "there" if outer.is_complete else "missing"),
        ("damage", "; ".join(outer.damage) or "none"),
    ]
    facts += [(f"network {name}", digest.hex()) for name, digest in header.models]
    return tuple(facts)


def _tools() -> tuple[tuple[str, str], ...]:
    found = [("program", TOOL), ("Python", platform.python_version())]
    found.append(("system", f"{platform.system()} {platform.machine()}"))
    for name in _PACKAGES:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return tuple(found)


def _utc(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="seconds")
