"""`recover`: bring original faces back with the password."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from typing import Any

from engines.errors import AnonymizerError, ConfigError
from streamer.audit_log import AuditEntry
from streamer.audit_operator import Auditor
from streamer.cli.anonymize import INTERRUPTED_EXIT_CODE
from streamer.cli.auditing import open_auditor
from streamer.cli.output import print_json
from streamer.cli.parser_engine import engine_overrides
from streamer.cli.times import parse_time_s
from streamer.cli.unlock import Unlocking, read_unlocking
from streamer.config import load_config
from streamer.interrupt import StopRequest
from streamer.key_log_open import read_header
from streamer.progress import open_progress
from streamer.recipient_keys import public_text
from streamer.recover import recover_file
from streamer.recovery_case import collect_case, file_fact
from streamer.recovery_html import case_html
from streamer.recovery_log import TimeSpan
from streamer.recovery_request import RecoverReport, RecoverRequest
from streamer.recovery_samples import Sampler
from streamer.recovery_sheet import write_private, write_sheet

__all__ = ["run"]


def run(args: argparse.Namespace) -> int:
    """Recover one file; returns the exit code.

    Raises:
        AnonymizerError: what went wrong, noted in the audit log.
    """
    config = load_config(None, {"engine": engine_overrides(args)})
    auditor = open_auditor(args, args.keylog)
    request = _request(args, auditor)
    unlocking = read_unlocking(args)
    entry = auditor.note("recover", _details(args))
    sampler = Sampler() if args.sheet or args.report else None
    try:
        with StopRequest() as stop, open_progress(quiet=args.quiet) as progress:
            report = recover_file(
                request, config, unlocking.password, identities=unlocking.identities,
                sampler=sampler, stop=stop, progress=progress,
            )  # fmt: skip
        made = _write_pictures(args, request, report, sampler, _opened_by(args, unlocking),
                               auditor, entry)  # fmt: skip
    except AnonymizerError as exc:
        auditor.note("recovery failed", {"entry": str(entry.number), "error": type(exc).__name__})
        raise
    auditor.note("recovered", {"entry": str(entry.number), **_outcome(request, report, made)})
    _print(args, report, auditor, entry)
    return INTERRUPTED_EXIT_CODE if report.was_interrupted else 0


def _request(args: argparse.Namespace, auditor: Auditor) -> RecoverRequest:
    if args.out is None and args.sheet is None and args.report is None:
        raise ConfigError("say what to make: --out DST, --sheet PNG or --report HTML")
    if args.force and (args.sheet or args.report):
        raise ConfigError("--force makes up people: it goes with neither --sheet nor --report")
    for path in (args.out, args.sheet, args.report):
        if path is not None and path.exists() and not args.overwrite:
            raise ConfigError(f"{path} exists already; use --overwrite to replace it")
    span = TimeSpan(
        None if args.from_s is None else parse_time_s(args.from_s),
        None if args.to_s is None else parse_time_s(args.to_s),
    )
    if span.first_s is not None and span.last_s is not None and span.first_s > span.last_s:
        raise ConfigError("--from must come before --to")
    generations = auditor.latest_generations()
    if args.min_generation is not None:
        generations[read_header(args.keylog).core_hash.hex()] = args.min_generation
    return RecoverRequest(
        source=args.source,
        keylog=args.keylog,
        out=args.out,
        mode=None if args.mode == "auto" else args.mode,
        tracks=None if args.track is None else tuple(sorted(set(args.track))),
        span=span,
        force=args.force,
        overwrite=args.overwrite,
        grant=args.grant,
        min_generations=generations,
    )


def _details(args: argparse.Namespace) -> dict[str, str]:
    """What is about to be done; written before anything is brought back."""
    outer = read_header(args.keylog)
    wanted = {
        "recording": outer.header.recording_id.hex(),
        "key log": outer.core_hash.hex(),
        "video": file_fact("video", args.source).sha256,
        "tracks": "all" if args.track is None else ",".join(map(str, args.track)),
        "from": args.from_s or "",
        "to": args.to_s or "",
        "mode": args.mode,
        "forced": "yes" if args.force else "",
        "grant": "" if args.grant is None else file_fact("grant", args.grant).sha256,
        "out": "" if args.out is None else str(args.out),
    }
    return {key: value for key, value in wanted.items() if value}


def _outcome(
    request: RecoverRequest, report: RecoverReport, made: dict[str, str]
) -> dict[str, str]:
    found = {
        "mode": report.mode,
        "frames": str(report.frames),
        "frames with faces": str(report.frames_with_faces),
        "frames proven": str(report.frames_proven),
        **made,
    }
    if request.out is not None:
        found["out sha256"] = file_fact("out", request.out).sha256
    return found


def _opened_by(args: argparse.Namespace, unlocking: Unlocking) -> str:
    keys = ", ".join(public_text(identity.public) for identity in unlocking.identities)
    if args.grant is not None:
        return f"a grant for {keys}"
    if unlocking.password is None:
        return f"the secret key of {keys}"
    return "the password" + (f" or the secret key of {keys}" if keys else "")


def _write_pictures(
    args: argparse.Namespace,
    request: RecoverRequest,
    report: RecoverReport,
    sampler: Sampler | None,
    opened_by: str,
    auditor: Auditor,
    entry: AuditEntry,
) -> dict[str, str]:
    """Write sheet and report; returns their hashes for the audit log."""
    made: dict[str, str] = {}
    if sampler is None:
        return made
    if args.sheet is not None:
        title = (f"{args.source.name}, {report.mode} recovery", *report.placement[:1])
        write_sheet(args.sheet, sampler.samples, title=title, overwrite=args.overwrite)
        made["sheet sha256"] = file_fact("sheet", args.sheet).sha256
    if args.report is not None:
        case = collect_case(
            request, report, opened_by=opened_by, audit_log=auditor.path, entry=entry,
            signer=auditor.signer_text, made_s=time.time(),
        )  # fmt: skip
        page = case_html(case, sampler.samples, sampler.tracks, name=args.source.name)
        write_private(args.report, page.encode(), overwrite=args.overwrite)
        made["report sha256"] = file_fact("report", args.report).sha256
    return made


def _print(
    args: argparse.Namespace, report: RecoverReport, auditor: Auditor, entry: AuditEntry
) -> None:
    if not args.quiet:
        made = " and ".join(str(path) for path in (args.out, args.sheet, args.report) if path)
        print(
            f"{made}: {report.frames} frames, {report.frames_with_faces} with faces "
            f"brought back ({report.mode}), {report.tracks} tracks",
            file=sys.stderr,
        )
        for text in report.placement:
            print(text, file=sys.stderr)
        print(f"noted as entry {entry.number} in {auditor.path}", file=sys.stderr)
    if args.json:
        facts: dict[str, Any] = {"command": "recover", "source": str(args.source)}
        facts |= {"out": None if args.out is None else str(args.out)}
        facts |= {"audit_log": str(auditor.path), "audit_entry": entry.number}
        print_json({**facts, **dataclasses.asdict(report)})
