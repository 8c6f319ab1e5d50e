"""Recovery: anonymise a clip, bring it back in every way, and compare with the original.

For recovery from the password alone the clip is recorded again, with a key log that holds
transforms only: that is what this way is for.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.clips import (
    DEFAULT_SHARED,
    BenchmarkError,
    Teachers,
    find_clips,
    load_teachers,
    output_name,
)
from benchmarks.command_line import (
    anonymize_command,
    recover_command,
    run_command,
    write_password,
)
from benchmarks.persons import PersonJudge, dlib_judge, edgeface_judge
from benchmarks.recovery_measure import RecoveryFigures, measure_recovery, overall_percent
from benchmarks.report import markdown_table, write_json
from benchmarks.source_faces import FrameFaces, find_source_faces
from benchmarks.system_info import describe_system

__all__ = ["main"]

_MODES: Final = ("sealed", "assisted", "generative")
_SEALED_BAR_DB: Final = 40.0
_WRONG_PASSWORD_EXIT: Final = 7
_WRONG: Final = "wrong password, --force"
_TRANSFORMS_ONLY: Final = "keylog: {seal: false, assisted: false}\n"


@dataclass(frozen=True, slots=True)
class _Judges:
    """Everybody who has a say."""

    teachers: Teachers
    persons: list[tuple[PersonJudge, int]]


@dataclass(frozen=True, slots=True)
class _Recording:
    """A clip, what was made of it, and where its faces were."""

    clip: Path
    output: Path
    keylog: Path
    faces: list[FrameFaces]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.recovery_video", description=__doc__)
    parser.add_argument("clips", nargs="*", metavar="CLIP", help="default: all in SHARED/clips")
    parser.add_argument("--shared", type=Path, default=DEFAULT_SHARED, help="clips and judges")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the outputs there")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="keep the judges' answers")
    parser.add_argument(
        "--dlib-every", type=int, default=10, metavar="N", help="frames between two of dlib, 0: off"
    )
    parser.add_argument("--json", type=Path, metavar="F", help="write all figures there")
    return parser


def _wrong_password(recording: _Recording, folder: Path) -> str:
    """Try the wrong password without --force; an empty answer is the right behaviour."""
    out = folder / "must_not_exist.mkv"
    password = write_password(folder, is_wrong=True)
    result = run_command(recover_command(recording.output, out, recording.keylog, password, "auto"))
    lines = result.stderr.strip().splitlines()
    if result.exit_code != _WRONG_PASSWORD_EXIT:
        return f"exit code {result.exit_code}, not {_WRONG_PASSWORD_EXIT}"
    if len(lines) != 1:
        return f"{len(lines)} lines on standard error, not one"
    return "it left a file" if out.exists() else ""


def _recover(recording: _Recording, mode: str, folder: Path, judges: _Judges) -> RecoveryFigures:
    is_wrong = mode == _WRONG
    password = write_password(folder, is_wrong=is_wrong)
    label = "forced" if is_wrong else mode
    out = folder / f"{label}_{recording.output.name}"
    command = recover_command(
        recording.output,
        out,
        recording.keylog,
        password,
        "generative" if is_wrong else mode,
        *(["--force"] if is_wrong else []),
    )
    result = run_command(command)
    # 8 says that the key log or the video ended early; judged all the same.
    if result.exit_code != 8:
        result.require_success(f"recovering {recording.clip.name} ({mode})")
    return measure_recovery(
        recording.clip, out, mode, recording.faces, judges.persons, judges.teachers.yunet
    )


def _anonymize(
    clip: Path, folder: Path, judges: _Judges, cache: Path | None, *extra: str
) -> _Recording:
    teachers = judges.teachers
    faces = find_source_faces(clip, teachers.yunet, teachers.retinaface, cache=cache)
    out = folder / output_name(clip)
    keylog = out.with_name(out.name + ".vskl")
    command = anonymize_command(clip, out, keylog, write_password(folder), *extra)
    run_command(command).require_success(f"anonymising {clip.name}")
    return _Recording(clip, out, keylog, faces)


def _row(figures: RecoveryFigures) -> list[str]:
    kept = figures.fidelity
    people = " / ".join(f"{figures.accepted_percent(name):.1f}" for name in figures.accepted)
    return [
        figures.clip,
        figures.mode,
        f"{kept.frames_in} / {kept.frames_out}",
        "equal" if kept.is_time_equal else f"{kept.max_time_error_s * 1000:.1f} ms off",
        "identical" if kept.is_audio_identical else f"{kept.audio_in} -> {kept.audio_out}",
        f"{figures.mean_psnr_db():.1f} / {figures.low_psnr_db():.1f}",
        people,
        f"{figures.face_percent():.0f}",
    ]


def _overall_lines(results: Sequence[RecoveryFigures]) -> list[str]:
    """Each way of recovery over all clips, a face in a frame counting one."""
    lines = []
    for mode in dict.fromkeys(figures.mode for figures in results):
        shares = overall_percent(results, mode).items()
        people = ", ".join(f"{name} {share:.1f} %" for name, share in shares)
        lines.append(f"all clips, {mode}: taken for the person by {people or 'nobody asked'}")
    return lines


def _complaints(figures: RecoveryFigures) -> list[str]:
    """What misses a bar."""
    found = []
    people = [figures.accepted_percent(name) for name in figures.accepted]
    if not figures.fidelity.is_kept:
        found.append("frames, times or audio differ")
    if figures.psnr_db and figures.mode == "sealed" and figures.mean_psnr_db() < _SEALED_BAR_DB:
        found.append(f"{figures.mean_psnr_db():.1f} dB, below {_SEALED_BAR_DB:.0f}")
    if figures.mode in ("assisted", "generative") and any(value < 50 for value in people):
        found.append("not the same person in most frames")
    if figures.mode == _WRONG and any(value >= 50 for value in people):
        found.append("the original person came back without the password")
    if figures.mode == _WRONG and figures.face_percent() < 50:
        found.append("what came out is mostly no face")
    return [f"{figures.clip}, {figures.mode}: {text}" for text in found]


def _run_clip(
    clip: Path, folder: Path, judges: _Judges, cache: Path | None
) -> tuple[list[RecoveryFigures], list[str]]:
    recording = _anonymize(clip, folder, judges, cache)
    results, complaints = [], []
    refusal = _wrong_password(recording, folder)
    if refusal:
        complaints.append(f"{clip.name}, wrong password: {refusal}")
    for mode in (*_MODES, _WRONG):
        try:
            if mode == "generative":
                # It is for logs that hold transforms only, and files are made accordingly.
                config = folder / "transforms_only.yaml"
                config.write_text(_TRANSFORMS_ONLY, encoding="utf-8")
                recording = _anonymize(clip, folder, judges, cache, "--config", str(config))
            results.append(_recover(recording, mode, folder, judges))
        except BenchmarkError as exc:
            complaints.append(str(exc))
            continue
        complaints += _complaints(results[-1])
        print(" | ".join(_row(results[-1])), file=sys.stderr, flush=True)
    return results, complaints


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; 0 when every bar is met, 1 when one is missed, 2 when it cannot run."""
    args = _parser().parse_args(argv)
    results: list[RecoveryFigures] = []
    complaints: list[str] = []
    try:
        teachers = load_teachers(args.shared)
        judges = _Judges(teachers, [(edgeface_judge(teachers), 1)])
        dlib = dlib_judge() if args.dlib_every else None
        if dlib is not None:
            judges.persons.append((dlib, args.dlib_every))
        with tempfile.TemporaryDirectory() as scratch:
            folder = args.keep or Path(scratch)
            folder.mkdir(parents=True, exist_ok=True)
            for clip in find_clips(args.clips, args.shared):
                figures, missed = _run_clip(clip, folder, judges, args.cache)
                results += figures
                complaints += missed
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    people = " / ".join(judge.name for judge, _ in judges.persons)
    head = (
        *("clip", "mode", "frames in / out", "pts", "audio", "face PSNR dB mean / p5"),
        *(f"same person % {people}", "face found %"),
    )
    print(describe_system().line())
    print(markdown_table(head, [_row(figures) for figures in results]))
    for text in _overall_lines(results):
        print(text)
    for text in complaints:
        print(f"missed: {text}")
    if args.json:
        write_json(args.json, {f"{f.clip} {f.mode}": f.as_dict() for f in results})
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
