"""The figures of `python -m benchmarks.video` as Markdown tables and as an HTML report."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any, Final

from benchmarks.privacy_html import html_page, markdown_to_html
from benchmarks.privacy_svg import bar_chart
from benchmarks.report import markdown_table
from benchmarks.system_info import describe_system

__all__ = ["video_tables", "write_video_report"]

_UNKNOWN: Final = "-"
Results = Mapping[str, Any]


def _number(value: object, digits: int = 3) -> str:
    return f"{value:.{digits}f}" if isinstance(value, float | int) else _UNKNOWN


def _judges(results: Results) -> list[str]:
    first = next(iter(results.values()))["methods"]["ours"]["tracks"]
    return [name for name, value in first.items() if isinstance(value, dict) and "id_dis" in value]


def _methods(results: Results) -> list[tuple[str, str, Mapping[str, Any]]]:
    found = [(c, name, m) for c, clip in results.items() for name, m in clip["methods"].items()]
    for clip, figures in results.items():
        if small := figures.get("smaller"):
            found.append((clip, f"ours at {small['lines']} lines", small))
    return found


def _exposure(results: Results) -> str:
    head = ("clip", "method", "faces", "exposed (confirmed)", "per 10,000 frames", "weak")
    rows = []
    for clip, name, figures in _methods(results):
        e = figures["exposure"]
        shown = f"{e['exposed']} ({e['exposed_confirmed']})"
        rate = f"{e['exposed_per_10000_frames']:.0f}"
        rows.append([clip, name, str(e["faces"]), shown, rate, str(e["weak"])])
    return markdown_table(head, rows)


def _breakdown(results: Results) -> str:
    head = ("clip", "by", "class", "faces", "exposed (confirmed)", "weak")
    rows = []
    for clip, figures in results.items():
        for by, classes in figures["methods"]["ours"]["exposure"]["breakdown"].items():
            for name, n in sorted(classes.items()):
                shown = f"{n['exposed']} ({n['confirmed']})"
                rows.append([clip, by, name, str(n["faces"]), shown, str(n["weak"])])
    return markdown_table(head, rows)


def _persons(results: Results) -> str:
    judges = _judges(results)
    head = ["clip", "method"]
    for judge in judges:
        head += [f"{judge}: {x}" for x in ("Id-dis", "SR", "template accepted", "template rank-1")]
    head.append("accepted by any judge")
    rows = []
    for clip, name, figures in _methods(results):
        tracks = figures["tracks"]
        row = [clip, name]
        for judge in judges:
            verdict = tracks.get(judge, {})
            row += [
                _number(verdict.get(key))
                for key in ("id_dis", "sr_far_1e3", "template_accepted", "template_rank1")
            ]
        rows.append([*row, _number(tracks.get("accepted_by_any"))])
    return markdown_table(head, rows)


def _steady(results: Results) -> str:
    judge = _judges(results)[0]
    head = ("clip", "method", "flicker / original", "one identity: new - original", "DR",
            "landmarks px at 256", "yaw °", "1 - MS-SSIM")  # fmt: skip
    rows = []
    for clip, name, figures in _methods(results):
        tracks = figures["tracks"]
        verdict, looks = tracks.get(judge, {}), tracks.get("utility", {})
        pair = [verdict.get(f"consistency_{when}") for when in ("before", "after")]
        steady = None if None in pair else pair[1] - pair[0]
        names = ("DR", "landmarks px (66 points)", "yaw deg", "1 - MS-SSIM")
        row = [clip, name, _number(tracks.get("flicker_ratio"), 2), _number(steady)]
        rows.append(row + [_number(looks.get(key)) for key in names])
    return markdown_table(head, rows)


def _before_encoding(results: Results) -> str:
    head = ("clip", "frames", "equal to the bit away from faces", "worst other frame, dB")
    rows = []
    for clip, figures in results.items():
        found = figures["before_encoding"]
        worst = found["worst_psnr_db"]
        text = "∞" if worst >= 99 else f"{worst:.1f}"
        rows.append([clip, str(found["frames"]), f"{100 * found['frames_equal']:.1f} %", text])
    return markdown_table(head, rows)


def _recovery(results: Results) -> str:
    judges = _judges(results)
    head = ["clip", "mode", "face PSNR dB mean / p5"]
    head += [f"{judge}: {x}" for judge in judges for x in ("Id-dis", "SR")]
    rows = []
    for clip, figures in results.items():
        for mode, found in figures.get("recovery", {}).items():
            if "refused" in found:
                rows.append([clip, mode, found["refused"], *([_UNKNOWN] * (len(head) - 3))])
                continue
            row = [clip, mode, f"{found['psnr_db_mean']:.1f} / {found['psnr_db_p5']:.1f}"]
            for judge in judges:
                verdict = found["tracks"].get(judge, {})
                row += [_number(verdict.get(key)) for key in ("id_dis", "sr_far_1e3")]
            rows.append(row)
    return markdown_table(head, rows) if rows else ""


def video_tables(results: Results) -> dict[str, str]:
    """Title to Markdown."""
    tables = {
        "Exposure": _exposure(results),
        "Exposure of ours by size, pose and what hides the face": _breakdown(results),
        "Persons": _persons(results),
        "Steadiness and looks": _steady(results),
        "Before encoding": _before_encoding(results),
        "Recovery": _recovery(results),
    }
    return {title: table for title, table in tables.items() if table}


def write_video_report(path: Path, results: Results) -> None:
    """Tables and plots; no picture, since the people of the clips are real."""
    sections = {"Machine": f"<p>{escape(describe_system().line())}</p>"}
    sections |= {title: markdown_to_html(text) for title, text in video_tables(results).items()}
    charts = []
    for clip, figures in results.items():
        bars = {}
        for name, method in figures["methods"].items():
            value = method["tracks"].get("accepted_by_any")
            if value is not None:
                bars[name] = (float(value), float(value), float(value))
        charts.append(bar_chart(f"{clip}: accepted by any judge, FAR 1e-3", bars, 1.0))
    sections["Plots"] = "\n".join(charts)
    path.write_text(html_page("The product on footage", sections), encoding="utf-8")
