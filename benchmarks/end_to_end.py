"""Speed of the whole program, decoded file to encoded file, next to the `deface` package.

Cost is processor time per frame of the whole process tree. Start-up is left out by running each
command on the whole clip and on its first frames: the difference of the times belongs to the
difference of the frames.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.clips import DEFAULT_SHARED, BenchmarkError, find_clips
from benchmarks.report import markdown_table, write_json
from benchmarks.speed_measure import (
    Cost,
    Runner,
    command_peer,
    measure_cost,
    our_runner,
    peer_missing,
    peer_runner,
    recode_runner,
)
from benchmarks.speed_plot import plot_costs
from benchmarks.system_info import describe_system
from benchmarks.video_io import cut_clip, frame_count

__all__ = ["main"]

_CLIPS = ("mask_turn_hands", "hug_1080p_vfr", "crowd_arcade_1080p")
_SHORT_FRAMES = 12
# What one frame may cost in CPU seconds; the remaining clip shows how cost grows with faces.
_BARS = {"mask_turn_hands": (0.05, 25.0), "hug_1080p_vfr": (0.09, 12.0)}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="benchmarks.end_to_end", description=__doc__)
    parser.add_argument("--clip", action="append", default=[], metavar="CLIP", help="may repeat")
    parser.add_argument("--shared", type=Path, default=DEFAULT_SHARED, help="where the clips are")
    parser.add_argument(
        "--deface-python",
        default=sys.executable,
        metavar="PYTHON",
        help="interpreter that has deface and onnxruntime installed (default: this one)",
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        type=command_peer,
        metavar="NAME=COMMAND",
        help="another program, with {source} and {output} in its command; may repeat",
    )
    parser.add_argument("--no-peers", action="store_true", help="leave deface out")
    parser.add_argument("--no-cores", action="store_true", help="leave the one-core run out")
    parser.add_argument("--json", type=Path, metavar="F", help="write all figures there")
    parser.add_argument("--markdown", type=Path, metavar="F", help="write the table there")
    parser.add_argument("--plot", type=Path, metavar="PNG", help="draw it, if matplotlib is there")
    parser.add_argument(
        "--option", action="append", default=[], metavar="ARG", help="passed on to anonymize"
    )
    return parser


def _runners(args: argparse.Namespace) -> list[Runner]:
    runners = [our_runner("veilstream", args.option)]
    if not args.no_cores:
        runners.append(our_runner("veilstream, 1 core", [*args.option, "--workers", "1"], cores=1))
    runners.append(recode_runner())
    if not args.no_peers:
        runners.append(peer_runner("deface", args.deface_python))
        runners.append(
            peer_runner("deface --scale 640x360", args.deface_python, "--scale", "640x360")
        )
    return [*runners, *args.peer]


def _measure_clip(clip: Path, args: argparse.Namespace, scratch: Path) -> list[Cost | str]:
    short = cut_clip(clip, scratch / f"short_{clip.stem}.mkv", _SHORT_FRAMES)
    frames = (frame_count(clip), frame_count(short))
    missing = None if args.no_peers else peer_missing(args.deface_python)
    costs: list[Cost | str] = []
    for runner in _runners(args):
        if runner.name.startswith("deface") and missing:
            costs.append(f"{runner.name}: not run, {missing}")
            continue
        try:
            cost = measure_cost(runner, clip, short, frames, scratch)
        except BenchmarkError as exc:
            if not runner.is_peer:
                raise
            costs.append(f"{runner.name}: not run, {exc}")
            continue
        print(f"{clip.name}: {cost.line()}", file=sys.stderr, flush=True)
        costs.append(cost)
    return costs


def _row(clip: Path, cost: Cost | str, ours: Cost | None) -> list[str]:
    if isinstance(cost, str):
        return [clip.name, cost, *[""] * 6]
    ratio = f"{cost.cpu_s_per_frame / ours.cpu_s_per_frame:.2f}" if ours else ""
    return [
        clip.name,
        cost.name,
        f"{cost.cpu_s_per_frame:.4f}",
        ratio,
        f"{cost.wall_fps:.1f}",
        f"{cost.idle_fps:.1f}",
        f"{cost.start_cpu_s:.1f}",
        f"{cost.peak_rss_mib:.0f}",
    ]


_HEAD = (
    *("clip", "program", "CPU s/frame", "x ours", "fps", "fps if cores were free"),
    *("start-up CPU s", "peak RSS MiB"),
)


def _bar_lines(clip: Path, costs: Sequence[Cost | str]) -> list[str]:
    by_name = {cost.name: cost for cost in costs if isinstance(cost, Cost)}
    ours, lines = by_name["veilstream"], []
    if clip.stem in _BARS:
        cpu_s, fps = _BARS[clip.stem]
        lines.append(f"{clip.name}: {ours.cpu_s_per_frame:.4f} CPU s/frame, bar {cpu_s}")
        measured = f"{ours.wall_fps:.1f} fps" if ours.wall_fps else "fps not measured, machine busy"
        lines.append(f"{clip.name}: {measured}, bar {fps}")
    for name, bar in (("deface", 6.0), ("deface --scale 640x360", 2.0)):
        if name in by_name:
            ratio = by_name[name].cpu_s_per_frame / ours.cpu_s_per_frame
            lines.append(f"{clip.name}: {ratio:.1f} x cheaper than {name}, bar {bar}")
    one = by_name.get("veilstream, 1 core")
    if one and one.wall_fps and ours.wall_fps:
        gain = ours.wall_fps / one.wall_fps
        lines.append(f"{clip.name}: all cores give {gain:.2f} x the fps of one, bar 1.7")
    lines.append(f"{clip.name}: peak {ours.peak_rss_mib:.0f} MiB, bar 800")
    return lines


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 0 when everything ran, 2 when it could not."""
    args = _parser().parse_args(argv)
    measured: dict[Path, list[Cost | str]] = {}
    try:
        with tempfile.TemporaryDirectory() as scratch:
            for clip in find_clips(args.clip or _CLIPS, args.shared):
                measured[clip] = _measure_clip(clip, args, Path(scratch))
    except BenchmarkError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    rows = []
    for clip, costs in measured.items():
        ours = next((c for c in costs if isinstance(c, Cost) and c.name == "veilstream"), None)
        rows += [_row(clip, cost, ours) for cost in costs]
    bars = [line for clip, costs in measured.items() for line in _bar_lines(clip, costs)]
    text = "\n\n".join(
        (describe_system().line(), markdown_table(_HEAD, rows), "\n".join(f"- {b}" for b in bars))
    )
    print(text)
    if args.markdown:
        args.markdown.write_text(text + "\n", encoding="utf-8")
    if args.json:
        figures = {
            clip.name: [cost if isinstance(cost, str) else asdict(cost) for cost in costs]
            for clip, costs in measured.items()
        }
        write_json(args.json, figures)
    if args.plot:
        named = {clip.name: costs for clip, costs in measured.items()}
        print(plot_costs(args.plot, named))
    return 0


if __name__ == "__main__":
    sys.exit(main())
