"""End to end by size of picture, number of faces and provider, with the share of each stage.

Footage is synthetic (portraits that move). Shares are of processor time and take the codecs on one
thread each; frames per second are wall time of the same run, so other work on the machine lowers
them.
"""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from engines.thread_limits import THREAD_LIMITS

# As the command sets them.
os.environ.update({**THREAD_LIMITS, **os.environ})

from benchmarks.clips import BenchmarkError
from benchmarks.portraits_video import MAX_FACES, write_portraits
from benchmarks.report import markdown_table, write_json
from benchmarks.stage_meter import QueueDepth, StageMeter, metered
from benchmarks.system_info import describe_system
from engines.bench_plot import bar_svg
from engines.errors import EngineError
from streamer.config import AppConfig, EngineConfig
from streamer.file_job import FileRequest, anonymize_file
from streamer.interrupt import StopRequest
from streamer.progress import QuietProgress

__all__ = ["PipelineFigure", "bar_lines", "main", "measure"]

_SIZES: Final = {"720": (720, 1280), "1080": (1080, 1920)}
_PROVIDERS: Final = ("cpu", "cuda", "openvino", "tensorrt")
_PASSWORD: Final = b"only for measuring"
_OVERHEAD_BAR: Final = 0.15
_BLEND_BAR_MS: Final = 1.5
_EMPTY_BAR: Final = 0.10


@dataclass(frozen=True, slots=True)
class PipelineFigure:
    """One combination; the figures are missing where `not_run` says why.

    Attributes:
        size: height of the picture.
        faces: people in it.
        provider: what ran the networks.
        frames: length of the footage.
        fps: frames by wall time of both passes.
        cpu_ms: processor time a frame.
        overhead_ratio: share of what is neither codec nor network.
        blend_ms: blending of one face, replaced or covered.
        shares: stage -> share of the processor time.
        queues: depth of the queue of each pass.
        not_run: why nothing was measured.
    """

    size: str
    faces: int
    provider: str
    frames: int = 0
    fps: float | None = None
    cpu_ms: float | None = None
    overhead_ratio: float | None = None
    blend_ms: float | None = None
    shares: dict[str, float] | None = None
    queues: tuple[QueueDepth, ...] = ()
    not_run: str = ""


def measure(size: str, faces: int, provider: str, frames: int, scratch: Path) -> PipelineFigure:
    """Run one combination in this process."""
    source = scratch / f"{size}_{faces}.mp4"
    if not source.exists():
        card_px = min(300, _SIZES[size][0] // 2 - 20)
        write_portraits(source, frames, faces, size_hw=_SIZES[size], card_px=card_px)
    request = FileRequest(str(source), scratch / "out.mp4", scratch / "out.vskl", overwrite=True)
    config = AppConfig(engine=EngineConfig.model_validate({"provider": provider}))
    meter = StageMeter()
    try:
        with metered(meter):
            report = anonymize_file(
                request, config, _PASSWORD, stop=StopRequest(), progress=QuietProgress()
            )
    except EngineError as exc:
        return PipelineFigure(size, faces, provider, not_run=getattr(exc, "reason", str(exc)))
    drawn = report.replaced + report.covered
    return PipelineFigure(
        size,
        faces,
        provider,
        report.frames,
        fps=report.frames / (report.analyse_s + report.render_s),
        cpu_ms=1e3 * meter.total_s / report.frames,
        overhead_ratio=meter.overhead_ratio(),
        blend_ms=1e3 * meter.seconds["blend"] / drawn if drawn else None,
        shares=meter.shares(),
        queues=tuple(meter.queues()),
    )


def bar_lines(figures: Sequence[PipelineFigure]) -> list[str]:
    """What the figures say about the bars, in words."""
    lines = []
    for figure in figures:
        if figure.size != "1080" or figure.overhead_ratio is None or figure.shares is None:
            continue
        where = f"1080p, {figure.faces} faces, {figure.provider}"
        overhead = 100 * figure.overhead_ratio
        lines.append(f"{where}: overhead {overhead:.0f} % of the frame, bar {_OVERHEAD_BAR:.0%}")
        if figure.blend_ms is not None:
            lines.append(f"{where}: blending {figure.blend_ms:.2f} ms a face, bar {_BLEND_BAR_MS}")
        if figure.faces == 0:
            needed = sum(
                share
                for stage, share in figure.shares.items()
                if stage in ("decode", "copy planes", "find", "encode and mux")
                or stage.startswith("network ")
            )
            more = 1 / max(needed, 1e-9) - 1
            lines.append(
                f"{where}: {more:+.0%} over decoding, detecting and encoding, bar {_EMPTY_BAR:.0%}"
            )
    return lines


def _row(figure: PipelineFigure) -> list[str]:
    head = [f"{figure.size}p", str(figure.faces), figure.provider]
    if figure.shares is None or figure.fps is None or figure.cpu_ms is None:
        return [*head, f"not run: {figure.not_run}", *[""] * 4]
    largest = sorted(figure.shares.items(), key=lambda item: -item[1])
    shares = ", ".join(f"{stage} {share:.0%}" for stage, share in largest if share >= 0.01)
    queues = ", ".join(f"{q.name} {q.mean:.1f} / {q.most} of {q.capacity}" for q in figure.queues)
    overhead = f"{figure.overhead_ratio or 0:.0%}"
    return [*head, f"{figure.fps:.1f}", f"{figure.cpu_ms:.1f}", overhead, shares, queues]


_HEAD: Final = (
    *("size", "faces", "provider", "fps", "CPU ms/frame", "overhead", "share of each stage"),
    "queue depth mean / most",
)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.pipeline", description=__doc__)
    parser.add_argument("--size", nargs="+", choices=tuple(_SIZES), default=list(_SIZES))
    parser.add_argument(
        "--faces", nargs="+", type=int, choices=range(MAX_FACES + 1), default=[0, 1, 2, 4],
        metavar="N",
    )  # fmt: skip
    parser.add_argument("--provider", nargs="+", choices=_PROVIDERS, default=list(_PROVIDERS))
    parser.add_argument("--frames", type=int, default=100, help="length of the footage")
    parser.add_argument("--json", type=Path, metavar="F", help="write all figures there")
    parser.add_argument("--markdown", type=Path, metavar="F", help="write the table there")
    parser.add_argument("--plot", type=Path, metavar="SVG", help="draw the cost of a frame")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when it ran, 2 when it could not."""
    args = _parser().parse_args(argv)
    figures = []
    try:
        with tempfile.TemporaryDirectory() as folder:
            for size, faces, provider in itertools.product(args.size, args.faces, args.provider):
                figures.append(measure(size, faces, provider, args.frames, Path(folder)))
                print(" | ".join(_row(figures[-1])), file=sys.stderr, flush=True)
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    parts = [describe_system().line(), markdown_table(_HEAD, [_row(f) for f in figures])]
    parts.append("\n".join(f"- {line}" for line in bar_lines(figures)))
    text = "\n\n".join(part for part in parts if part)
    print(text)
    if args.markdown:
        args.markdown.write_text(text + "\n", encoding="utf-8")
    if args.json:
        write_json(args.json, {"figures": [asdict(figure) for figure in figures]})
    if args.plot:
        bars = {f"{f.size}p, {f.faces} faces, {f.provider}": f.cpu_ms for f in figures if f.cpu_ms}
        args.plot.write_text(
            bar_svg("Processor time of a frame", bars, unit="ms"), encoding="utf-8"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
