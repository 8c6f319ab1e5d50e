"""Privacy, utility and recovery on the held-out identities: the paper's protocol and attacks.

`python -m benchmarks.privacy` prints tables and writes JSON and an HTML report when asked.
docs/evaluation.md says how to read them. Answers of all networks are kept in a cache, so a run that
was stopped goes on, and only what depends on changed weights is computed again.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.clips import DEFAULT_SHARED, BenchmarkError
from benchmarks.generator_judges import DlibTools
from benchmarks.judges import (
    ImageJudge,
    dlib_image_judge,
    edgeface_image_judge,
    onnx_image_judge,
)
from benchmarks.judges_cache import Memo, default_cache
from benchmarks.judges_lfw import calibrated
from benchmarks.privacy_bench import Bench, Settings
from benchmarks.privacy_html import write_privacy_report
from benchmarks.privacy_looks import FaceReader
from benchmarks.privacy_methods import Baseline, baselines, deface_crops
from benchmarks.privacy_product import Anonymizer
from benchmarks.privacy_run import PARTS, run_all
from benchmarks.privacy_sample import draw_sample, load_others, load_people
from benchmarks.privacy_tables import all_tables
from benchmarks.report import write_json
from benchmarks.sheets import require_outside_repository
from benchmarks.speed_measure import peer_missing
from benchmarks.system_info import describe_system
from engines.manifest import WEIGHTS_FOLDER
from training.teachers import load_teachers

__all__ = ["main"]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.privacy", description=__doc__)
    parser.add_argument("--shared", type=Path, default=DEFAULT_SHARED, help="faces and judges")
    parser.add_argument("--quick", action="store_true", help="few identities, one seed")
    parser.add_argument("--seeds", type=int, metavar="N", help="default 3; with --quick 1")
    parser.add_argument("--people", type=int, metavar="N", help="identities, default all")
    parser.add_argument("--per-person", type=int, metavar="N", help="probes of each, default all")
    parser.add_argument(
        "--recovery-per-person", type=int, metavar="N", help="of them brought back, default all"
    )
    parser.add_argument("--part", action="append", choices=list(PARTS), help="only this part")
    parser.add_argument(
        "--only-baselines", action="store_true", help="fill the cache with what needs no weights"
    )
    parser.add_argument("--no-dlib", action="store_true", help="leave out the judge dlib")
    parser.add_argument(
        "--judge", action="append", type=Path, default=[], metavar="ONNX", help="one more judge"
    )
    parser.add_argument(
        "--deface-python", default=sys.executable, help="interpreter that has deface"
    )
    parser.add_argument("--generator", type=Path, default=WEIGHTS_FOLDER / "generator.json")
    parser.add_argument("--encoder", type=Path, default=WEIGHTS_FOLDER / "encoder.json")
    parser.add_argument("--cache", type=Path, default=default_cache(), metavar="FOLDER")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all figures there")
    parser.add_argument("--html", type=Path, metavar="FILE", help="write a report there")
    return parser


def _settings(args: argparse.Namespace) -> Settings:
    base = Settings.quick() if args.quick else Settings()
    given = {
        name: value
        for name in ("seeds", "people", "per_person", "recovery_per_person")
        if (value := getattr(args, name)) is not None
    }
    return dataclasses.replace(base, only_baselines=args.only_baselines, **given)


def _judges(args: argparse.Namespace, memo: Memo) -> list[ImageJudge]:
    """All judges, calibrated."""
    teachers = load_teachers(args.shared / "models")
    found = [edgeface_image_judge(teachers), *map(onnx_image_judge, args.judge)]
    dlib = None if args.no_dlib else dlib_image_judge()
    if dlib is not None:
        found.append(dlib)
    return [calibrated(judge.remembered(memo), args.shared) for judge in found]


def _baselines(args: argparse.Namespace) -> tuple[list[Baseline], str]:
    """The baselines and why deface is not among them, if so."""
    missing = peer_missing(args.deface_python)
    if missing is not None:
        return baselines(), missing
    return [*baselines(), Baseline("deface, defaults", deface_crops(args.deface_python))], ""


def _bench(args: argparse.Namespace, memo: Memo, found: Sequence[Baseline]) -> Bench:
    settings = _settings(args)
    held = load_people(args.shared)
    teachers = load_teachers(args.shared / "models")
    # Processor time is what counts here, and small networks waste it on a second thread.
    vars(teachers)["THREADS"] = 1
    judges = _judges(args, memo)
    try:
        tools = DlibTools()
    except ImportError:
        tools = None
    samples = [
        draw_sample(held, seed, per_person=settings.per_person, people=settings.people)
        for seed in range(settings.seeds)
    ]
    return Bench(
        settings=settings,
        samples=samples,
        pictures=held.crops,
        owners=held.people,
        others=load_others(args.shared, settings.others),
        anonymizer=Anonymizer(memo, generator=args.generator, encoder=args.encoder),
        judges=judges,
        reader=FaceReader(teachers, memo, tools),
        baselines=found,
        memo=memo,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Measure; 0 when it ran, 2 when it cannot."""
    args = _parser().parse_args(argv)
    try:
        require_outside_repository(args.cache)
        found, missing = _baselines(args)
        bench = _bench(args, Memo(args.cache), found)
        only = ("methods", "recovery") if args.only_baselines else ()
        results = run_all(bench, args.part or only)
    except (BenchmarkError, FileNotFoundError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    if missing:
        results["not run"] = {"deface": missing}
    print(describe_system().line())
    for title, table in all_tables(results).items():
        print(f"\n### {title}\n\n{table}")
    print(f"\nCPU seconds: {results['cpu_s']}")
    if missing:
        print(f"deface: not run ({missing})")
    if args.json:
        write_json(args.json, results)
    if args.html:
        write_privacy_report(args.html, results, bench.anonymizer, found, args.shared)
        print(f"report: {args.html}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
