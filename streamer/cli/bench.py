"""`bench`: latency and throughput of the networks on this machine."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence

from engines.bench import (
    BenchPlan,
    EngineFigure,
    bench_model,
    describe_machine,
    markdown_table,
)
from engines.bench_plot import bar_svg
from engines.errors import ConfigError, EngineLoadError
from engines.manifest import WEIGHTS_FOLDER, ModelManifest, load_manifest
from engines.model_names import MODEL_NAMES
from engines.precision import int8_form
from streamer.cli.output import print_json

__all__ = ["run"]


def _plot(figures: Sequence[EngineFigure]) -> str:
    """The median time of one item, of everything that ran."""
    bars = {
        f"{f.model}, {f.provider}, batch {f.batch}, {f.threads} threads": f.p50_ms / f.batch
        for f in figures
        if f.p50_ms is not None
    }
    return bar_svg("Median time of one item", bars, unit="ms")


def _networks() -> Iterator[ModelManifest]:
    """All that ship, each followed by its INT8 form if there is one."""
    for name in MODEL_NAMES:
        manifest = load_manifest(WEIGHTS_FOLDER / f"{name}.json")
        yield manifest
        try:
            yield int8_form(manifest)
        except EngineLoadError:
            continue


def run(args: argparse.Namespace) -> int:
    """Measure, print a Markdown table or JSON, and write both if asked to.

    Raises:
        ConfigError: a number that cannot be measured with, or a folder that cannot be written.
    """
    base = BenchPlan()
    plan = BenchPlan(
        providers=tuple(args.provider or base.providers),
        batches=tuple(args.batch or base.batches),
        threads=tuple(args.threads or base.threads),
        seconds=args.seconds,
    )
    if min((*plan.batches, *plan.threads)) < 1 or not plan.seconds > 0:
        raise ConfigError("bench: --batch, --threads and --seconds must be above 0")
    machine = describe_machine()
    figures = [figure for manifest in _networks() for figure in bench_model(manifest, plan)]
    table = markdown_table(figures, machine)
    report = {"command": "bench", "machine": machine, "figures": [f.as_json() for f in figures]}
    if args.out is not None:
        try:
            args.out.mkdir(parents=True, exist_ok=True)
            (args.out / "bench.md").write_text(table, encoding="utf-8")
            (args.out / "bench.json").write_text(json.dumps(report, indent=2), encoding="utf-8")
            (args.out / "bench.svg").write_text(_plot(figures), encoding="utf-8")
        except OSError as exc:
            raise ConfigError(f"bench: {args.out} cannot be written: {exc.strerror}") from exc
    if args.json:
        print_json(report)
    else:
        print(table, end="")
    return 0
