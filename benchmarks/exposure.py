"""Exposed faces: how many faces of a clip its anonymised version still shows.

`python -m benchmarks.exposure [CLIP ...]` ends with exit code 1 when a face is exposed.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.clips import (
    DEFAULT_SHARED,
    BenchmarkError,
    Teachers,
    find_clips,
    load_teachers,
    output_name,
)
from benchmarks.command_line import anonymize_command, run_command, write_password
from benchmarks.exposure_controls import black_boxes, re_encoded
from benchmarks.exposure_measure import ClipExposure, measure_exposure
from benchmarks.persons import PersonJudge, dlib_judge, edgeface_judge
from benchmarks.report import markdown_table, write_json
from benchmarks.sheets import require_outside_repository, write_sheet
from benchmarks.source_faces import FrameFaces, find_source_faces
from benchmarks.system_info import describe_system

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.exposure", description=__doc__)
    parser.add_argument("clips", nargs="*", metavar="CLIP", help="default: all in SHARED/clips")
    parser.add_argument("--shared", type=Path, default=DEFAULT_SHARED, help="clips and judges")
    parser.add_argument("--output", type=Path, metavar="FILE", help="judge this output of the clip")
    parser.add_argument(
        "--control",
        choices=("re-encode", "mpeg4", "black-box"),
        help="judge a stand-in: everything must be exposed, or nothing",
    )
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the outputs there")
    parser.add_argument("--cache", type=Path, metavar="FOLDER", help="keep the judges' answers")
    parser.add_argument("--sheet", type=Path, metavar="FOLDER", help="PNG of the worst faces")
    parser.add_argument(
        "--dlib-every", type=int, default=10, metavar="N", help="frames between two of dlib, 0: off"
    )
    parser.add_argument("--json", type=Path, metavar="F", help="write all figures there")
    parser.add_argument(
        "--option", action="append", default=[], metavar="ARG", help="passed on to anonymize"
    )
    return parser


def _make_output(
    clip: Path, faces: Sequence[FrameFaces], folder: Path, args: argparse.Namespace
) -> Path:
    if args.output is not None:
        return Path(args.output)
    out = folder / output_name(clip)
    if args.control == "black-box":
        return black_boxes(clip, faces, out.with_suffix(".mkv"))
    if args.control:
        return re_encoded(clip, out.with_suffix(".mkv"), args.control)
    keylog = out.with_name(out.name + ".vskl")
    command = anonymize_command(clip, out, keylog, write_password(folder), *args.option)
    run_command(command).require_success(f"anonymising {clip.name}")
    return out


def _exposed_cell(result: ClipExposure) -> str:
    exposed, others = result.exposed(), len(result.false_alarms_left())
    cell = f"{len(exposed)} ({sum(face.is_confirmed for face in exposed)})"
    return f"{cell}, {others} false alarms left alone" if others else cell


def _row(result: ClipExposure) -> list[str]:
    kept = result.fidelity
    times = "equal" if kept.is_time_equal else f"{kept.max_time_error_s * 1000:.1f} ms off"
    audio = "identical" if kept.is_audio_identical else f"{kept.audio_in} -> {kept.audio_out}"
    return [
        result.clip,
        f"{kept.frames_in} / {kept.frames_out}",
        times,
        audio if kept.audio_in else "none",
        str(len(result.faces)),
        _exposed_cell(result),
        f"{result.per_10000_frames():.0f}",
        f"{result.share('is_weak'):.1f}",
        " / ".join(f"{100 * result.same_person(name):.1f}" for name in result.judges) or "not run",
        f"{result.altered_mean_percent:.2f} / {result.altered_max_percent:.1f}",
    ]


_HEAD = (
    *("clip", "frames in / out", "pts", "audio", "faces", "exposed (confirmed)"),
    *("exposed per 10,000 frames", "weak %", "re-identified %", "altered elsewhere % mean / max"),
)


def _judge_clip(
    clip: Path,
    teachers: Teachers,
    judges: Sequence[tuple[PersonJudge, int]],
    folder: Path,
    args: argparse.Namespace,
) -> ClipExposure:
    faces = find_source_faces(clip, teachers.yunet, teachers.retinaface, cache=args.cache)
    output = _make_output(clip, faces, folder, args)
    result = measure_exposure(clip, output, faces, judges)
    if args.sheet:
        write_sheet(args.sheet / f"{clip.stem}.png", clip, output, result.worst(24))
    return result


def _report(results: Sequence[ClipExposure], args: argparse.Namespace) -> None:
    print(describe_system().line())
    print(markdown_table(_HEAD, [_row(result) for result in results]))
    for result in results:
        for face in result.exposed():
            print(f"exposed: {result.clip} {face.line()}")
    if args.json:
        write_json(args.json, {r.clip: r.as_dict() for r in results})


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; 0 when no face is exposed and nothing else was lost, 1 otherwise."""
    args = _parser().parse_args(argv)
    try:
        if args.sheet:
            require_outside_repository(args.sheet)
        teachers = load_teachers(args.shared)
        judges = [(edgeface_judge(teachers), 1)]
        dlib = dlib_judge() if args.dlib_every else None
        if dlib is not None:
            judges.append((dlib, args.dlib_every))
        results = []
        with tempfile.TemporaryDirectory() as scratch:
            folder = args.keep or Path(scratch)
            folder.mkdir(parents=True, exist_ok=True)
            for clip in find_clips(args.clips, args.shared):
                results.append(_judge_clip(clip, teachers, judges, folder, args))
                print(" | ".join(_row(results[-1])), file=sys.stderr, flush=True)
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    _report(results, args)
    is_kept = bool(args.control) or all(r.fidelity.is_kept for r in results)
    return 0 if is_kept and not any(r.exposed() for r in results) else 1


if __name__ == "__main__":
    sys.exit(main())
