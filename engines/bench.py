"""How fast engines are: latency and throughput of each network, batch size and thread count."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import numpy as np

from engines.arrays import AnyArray
from engines.cores import ON_CORES, usable_cores
from engines.errors import EngineError
from engines.loader import Provider, load_engine
from engines.manifest import ModelManifest
from engines.protocols import Engine

__all__ = ["BenchPlan", "EngineFigure", "bench_model", "describe_machine", "markdown_table"]

_FREE_HW: Final = (384, 640)
_FEWEST_RUNS: Final = 5
_WARM_UP_RUNS: Final = 2
_COLUMNS: Final = (
    "network", "provider", "batch", "threads", "p50 ms", "p95 ms", "p99 ms", "items/s", "CPU ms",
    "runs",
)  # fmt: skip
_PACKAGES: Final = ("onnxruntime", "onnxruntime-gpu", "openvino", "tensorrt", "numpy")


@dataclass(frozen=True, slots=True)
class BenchPlan:
    """What is measured.

    Attributes:
        providers: back ends.
        batches: items of one call.
        threads: CPU threads of one call.
        seconds: time for each figure; at least five runs are made.
    """

    providers: tuple[Provider, ...] = ("cpu", "cuda", "openvino", "tensorrt")
    batches: tuple[int, ...] = (1, 4, 16)
    threads: tuple[int, ...] = (1, 2)
    seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class EngineFigure:
    """One line of the table; the figures are None where `not_run` says why.

    Attributes:
        model: name and version.
        provider: back end.
        device: what it ran on.
        batch: items of one call.
        threads: CPU threads of one call.
        runs: how many calls were timed.
        p50_ms: median time of a call.
        p95_ms: 95 % of calls took no longer.
        p99_ms: 99 % of calls took no longer; close to the maximum below a hundred runs.
        items_per_s: items of all calls by the time of all calls.
        cpu_ms: mean CPU time of a call, over all threads; other work on the machine disturbs it
            least, but it leaves out what a GPU does.
        not_run: why nothing was measured.
    """

    model: str
    provider: str
    device: str
    batch: int
    threads: int
    runs: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    items_per_s: float | None = None
    cpu_ms: float | None = None
    not_run: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the JSON report."""
        return asdict(self)


def bench_model(
    manifest: ModelManifest,
    plan: BenchPlan,
    *,
    cache_folder: Path | None = None,
    now: Callable[[], float] = time.perf_counter,
    cpu_now: Callable[[], float] = time.process_time,
) -> list[EngineFigure]:
    """Measure one network in every way of the plan.

    Args:
        manifest: the network.
        plan: what to measure.
        cache_folder: where TensorRT keeps built engines.
        now: clock in seconds.
        cpu_now: CPU time of this process in seconds.
    """
    model = f"{manifest.name} {manifest.version}"
    figures: list[EngineFigure] = []
    for provider in plan.providers:
        for threads in plan.threads:
            why = ""
            if provider not in ON_CORES and threads != plan.threads[0]:
                why = "CPU threads make no difference here"
            else:
                try:
                    engine = load_engine(
                        manifest,
                        provider=provider,
                        threads=threads,
                        cache_folder=cache_folder,
                        # As a run would: in the number format that is fast there.
                        precision="auto" if provider == "openvino" else "fp32",
                    )
                except EngineError as exc:
                    why = getattr(exc, "reason", str(exc))
            if why:
                figures += [
                    EngineFigure(model, provider, "", batch, threads, not_run=why)
                    for batch in plan.batches
                ]
                continue
            figures += _bench_engine(engine, model, provider, threads, plan, now, cpu_now)
            engine.close()
    return figures


def _bench_engine(
    engine: Engine,
    model: str,
    provider: str,
    threads: int,
    plan: BenchPlan,
    now: Callable[[], float],
    cpu_now: Callable[[], float],
) -> list[EngineFigure]:
    figures = []
    device = engine.describe().device
    for batch in plan.batches:
        head = (model, provider, device, batch, threads)
        fixed = next((s.shape[0] for s in engine.inputs if s.shape[0] is not None), None)
        if fixed not in (None, batch):
            figures.append(EngineFigure(*head, not_run=f"the network's batch size is {fixed}"))
            continue
        try:
            feed = _feed(engine, batch)
            for _ in range(_WARM_UP_RUNS):
                engine.infer(feed)
            cpu_start = cpu_now()
            times_s = _time_calls(engine, feed, plan.seconds, now)
            cpu_ms = (cpu_now() - cpu_start) / len(times_s) * 1e3
        except EngineError as exc:
            figures.append(EngineFigure(*head, not_run=str(exc)))
            continue
        p50, p95, p99 = (float(q) * 1e3 for q in np.percentile(times_s, (50, 95, 99)))
        rate = batch * len(times_s) / sum(times_s)
        figures.append(EngineFigure(*head, len(times_s), p50, p95, p99, rate, cpu_ms))
    return figures


def _feed(engine: Engine, batch: int) -> dict[str, AnyArray]:
    rng = np.random.default_rng(0)
    feed = {}
    for spec in engine.inputs:
        free = (batch, 3, *_FREE_HW)
        shape = [size or free[axis] for axis, size in enumerate(spec.shape)]
        feed[spec.name] = rng.uniform(-1, 1, shape).astype(spec.dtype)
    return feed


def _time_calls(
    engine: Engine, feed: dict[str, AnyArray], seconds: float, now: Callable[[], float]
) -> list[float]:
    times_s: list[float] = []
    while len(times_s) < _FEWEST_RUNS or sum(times_s) < seconds:
        start = now()
        engine.infer(feed)
        times_s.append(now() - start)
    return times_s


def describe_machine() -> dict[str, Any]:
    """Processor, cores, load and versions, without which a figure says nothing."""
    packages = {}
    for name in _PACKAGES:
        try:
            packages[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "cpu": _cpu_name(),
        "cores": usable_cores(),
        "load_1min": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "packages": packages,
    }


def _cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or "unknown processor"


def markdown_table(figures: Sequence[EngineFigure], machine: dict[str, Any]) -> str:
    """The figures as Markdown, with the machine above them."""
    load = machine["load_1min"]
    busy = " (busy: other work shared the cores)" if load and load > machine["cores"] else ""
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    lines = [
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}, load {load}{busy}; "
        f"Python {machine['python']}, {packages}.",
        "",
        f"| {' | '.join(_COLUMNS)} |",
        "| --- " * len(_COLUMNS) + "|",
    ]
    for f in figures:
        head = f"| {f.model} | {f.provider} | {f.batch} | {f.threads} |"
        if f.p50_ms is None or f.p95_ms is None or f.p99_ms is None or f.items_per_s is None:
            lines.append(f"{head} not run: {f.not_run} | | | | | |")
        else:
            times = f"{f.p50_ms:.2f} | {f.p95_ms:.2f} | {f.p99_ms:.2f}"
            lines.append(f"{head} {times} | {f.items_per_s:.1f} | {f.cpu_ms or 0:.2f} | {f.runs} |")
    return "\n".join(lines) + "\n"
