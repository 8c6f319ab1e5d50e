from __future__ import annotations

import hashlib
import itertools
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="builds a tiny model")

from engines.bench import BenchPlan, bench_model, describe_machine, markdown_table
from engines.manifest import ModelManifest
from tests.engines.test_trt_engine import pooling_model


def _manifest(folder: Path, shape: tuple[int | str, ...]) -> ModelManifest:
    path = folder / "pool.onnx"
    path.write_bytes(pooling_model(shape))
    return ModelManifest(
        "pool", "1", path, hashlib.sha256(path.read_bytes()).hexdigest(), 127.5, 127.5
    )


def test_figures_come_from_the_clock(tmp_path: Path) -> None:
    ticks = itertools.count()
    plan = BenchPlan(providers=("cpu",), batches=(1, 4), threads=(1,), seconds=8)
    one, four = bench_model(
        _manifest(tmp_path, ("N", 3, 32, 32)),
        plan,
        now=lambda: next(ticks) / 2,
        cpu_now=iter([0, 4, 10, 16]).__next__,
    )
    assert (one.runs, one.p50_ms, one.p99_ms) == (16, 500, 500)
    assert one.items_per_s == pytest.approx(2)
    assert four.items_per_s == pytest.approx(8)
    assert (one.cpu_ms, four.cpu_ms) == (250, 375)


def test_what_was_not_run_says_why(tmp_path: Path) -> None:
    plan = BenchPlan(providers=("cpu", "tensorrt"), batches=(1, 2), threads=(1, 2), seconds=0.001)
    figures = bench_model(_manifest(tmp_path, (1, 3, 32, 32)), plan)
    assert len(figures) == 8
    assert figures[0].runs >= 5
    assert "batch size is 1" in figures[1].not_run
    table = markdown_table(figures, describe_machine())
    assert table.count("not run: ") == sum(1 for f in figures if f.p50_ms is None)
    assert "cores" in table.splitlines()[0]
