"""A self-contained HTML report: tables, plots and pictures of generated (CC0) people only."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import cv2
import numpy as np

from benchmarks.portraits_video import portraits
from benchmarks.privacy_methods import Baseline
from benchmarks.privacy_product import Anonymizer, Policy, angles_for, secret_key
from benchmarks.privacy_svg import bar_chart, line_chart
from benchmarks.privacy_tables import all_tables
from benchmarks.system_info import describe_system
from engines.arrays import UInt8Array
from training.teachers import load_teachers

__all__ = ["html_page", "markdown_to_html", "plots", "portrait_crops", "write_privacy_report"]

_STYLE: Final = (
    "body{font:15px/1.5 sans-serif;max-width:1200px;margin:2em auto;padding:0 1em;color:#222}"
    "table{border-collapse:collapse;font-size:13px;margin:1em 0;display:block;overflow-x:auto}"
    "td,th{border:1px solid #ccc;padding:3px 8px;text-align:left;vertical-align:top}"
    "th{background:#f3f3f3}img{max-width:100%}"
)
_CANVAS_OFFSET_PX: Final = 24
_JPEG_QUALITY: Final = 88


def html_page(title: str, sections: Mapping[str, str]) -> str:
    """A page that needs no other file; the values of `sections` are HTML."""
    parts = [f"<h2>{escape(name)}</h2>\n{body}" for name, body in sections.items()]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>\n" + "\n".join(parts) + "</html>\n"
    )


def markdown_to_html(text: str) -> str:
    """Paragraphs and pipe tables as `report.markdown_table` writes them."""
    out = []
    for block in text.split("\n\n"):
        lines = block.strip().splitlines()
        if not lines or not lines[0].startswith("|"):
            out.append(f"<p>{escape(block.strip())}</p>")
            continue
        rows = [re.split(r" \| ", line.strip("| ")) for line in lines if "| ---" not in line]
        cells = [
            "".join(f"<{tag}>{escape(value)}</{tag}>" for value in row)
            for tag, row in zip(["th"] + ["td"] * len(rows), rows, strict=False)
        ]
        out.append("<table>" + "".join(f"<tr>{row}</tr>" for row in cells) + "</table>")
    return "\n".join(out)


def plots(results: Mapping[str, Any]) -> dict[str, str]:
    """Figs 5 and 7 of the paper, recovery over the angle, and the methods side by side.

    Returns:
        Short name to SVG.
    """
    out: dict[str, str] = {}
    judges = list(results["judges"])
    if levels := results.get("levels"):
        out |= _level_plots(levels, judges)
    if methods := results.get("methods"):
        bars = {name: _interval(found["any judge FAR 1e-3"]) for name, found in methods.items()}
        title = "accepted as the same person by any judge, FAR 1e-3"
        out["accepted"] = bar_chart(title, bars, 1.0)
        for judge in judges:
            bars = {name: _interval(found[f"{judge} rank-1"]) for name, found in methods.items()}
            out[f"rank-1 {judge}"] = bar_chart(f"rank-1 in the gallery, {judge}", bars, 1.0)
    if attacks := results.get("attacks"):
        bars = {
            policy: max((_interval(v) for v in found.values()), key=lambda interval: interval[0])
            for policy, found in attacks.items()
        }
        top = max(0.1, *(high for _, _, high in bars.values()))
        title = "rank-1 of the best informed attacker, by policy"
        out["informed attacker"] = bar_chart(title, bars, top)
    return out


def _level_plots(levels: Mapping[str, Any], judges: Sequence[str]) -> dict[str, str]:
    rows: dict[str, list[tuple[float, Mapping[str, Any]]]] = {}
    for name, found in levels.items():
        kind, angle = name.split()
        rows.setdefault(kind, []).append((float(angle), found))

    def series(x: str | None, y: str) -> dict[str, list[tuple[float, float]]]:
        return {
            kind: [(angle if x is None else _mean(f, x), _mean(f, y)) for angle, f in found]
            for kind, found in rows.items()
        }

    angle = "angle, degrees"
    out = {}
    for judge in judges:
        title = f"Id-dis over the angle, {judge} (Fig. 5)"
        out[f"distance {judge}"] = line_chart(
            title, (angle, "Id-dis"), series(None, f"{judge} Id-dis")
        )
    last = judges[-1]
    moved = "landmarks px (66 points)"
    axes = (f"Id-dis, {last}", "landmarks, px at 256")
    lines = series(f"{last} Id-dis", moved)
    out["privacy and utility"] = line_chart("privacy and utility (Fig. 7)", axes, lines)
    for judge in judges:
        title = f"identity after generative recovery, {judge}"
        lines = series(None, f"generative: {judge} Id-dis")
        out[f"recovery {judge}"] = line_chart(title, (angle, "Id-dis to the original"), lines)
    return out


def _mean(found: Mapping[str, Any], name: str) -> float:
    # Not every angle is brought back.
    value = found.get(name, {"mean": None})["mean"]
    return float("nan") if value is None else float(value)


def _interval(summary: Mapping[str, Any]) -> tuple[float, float, float]:
    values = [summary[name] for name in ("mean", "low", "high")]
    mean, low, high = (float("nan") if value is None else float(value) for value in values)
    return mean, low, high


def portrait_crops(teachers: ModuleType) -> UInt8Array:
    """The generated people that ship with the product, aligned; (N, 160, 160, 3) uint8 RGB."""
    crops = []
    for bgr in portraits():
        _, landmarks, _ = teachers.detect_yunet(bgr)
        template = teachers.TEMPLATE112 + _CANVAS_OFFSET_PX
        matrix = teachers.similarity_transform(landmarks[0], template)
        crop = cv2.warpAffine(bgr, matrix, (160, 160), borderMode=cv2.BORDER_REPLICATE)
        crops.append(np.asarray(crop, np.uint8)[..., ::-1])
    return np.stack(crops)


def _rows(
    crops: UInt8Array, anonymizer: Anonymizer, baselines: Sequence[Baseline]
) -> dict[str, UInt8Array]:
    identities = anonymizer.identities(crops)
    angles = angles_for(Policy(), len(crops), 0)
    keys = [[secret_key("sheet", which, i) for i in range(len(crops))] for which in range(3)]
    first = anonymizer.protected(crops, anonymizer.turned(identities, keys[0], angles))
    read = anonymizer.read(first)
    paper = angles_for(Policy(angle_deg=85.0), len(crops), 0)
    reference = anonymizer.turned(identities, keys[0], paper, kind="reference")
    rows = {
        "ours, first password": first,
        "ours, second password": anonymizer.protected(
            crops, anonymizer.turned(identities, keys[1], angles)
        ),
        "ours, paper mode at 85°": anonymizer.protected(crops, reference),
        "recovered, generative": anonymizer.restored(
            first, anonymizer.likeliest(anonymizer.turned_back(read, keys[0], angles))
        ),
        "recovered, assisted": anonymizer.assisted(first, identities, crops),
        "wrong password": anonymizer.restored(
            first, anonymizer.likeliest(anonymizer.turned_back(read, keys[2], angles))
        ),
    }
    return {**{b.name: b.apply(crops) for b in baselines}, **rows}


def _picture(row: UInt8Array, name: str) -> str:
    strip = np.hstack(list(row))[..., ::-1]
    quality = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]
    _, data = cv2.imencode(".jpg", np.ascontiguousarray(strip), quality)
    text = base64.b64encode(data.tobytes()).decode("ascii")
    return (
        f'<p>{escape(name)}<br><img alt="{escape(name)}" src="data:image/jpeg;base64,{text}"></p>'
    )


def write_privacy_report(
    path: Path,
    results: Mapping[str, Any],
    anonymizer: Anonymizer,
    baselines: Sequence[Baseline],
    shared: Path,
) -> None:
    """Write the report; its pictures show generated people, never those that were measured."""
    sections = {"Machine": f"<p>{escape(describe_system().line())}</p>"}
    sections |= {title: markdown_to_html(text) for title, text in all_tables(results).items()}
    sections["Plots"] = "\n".join(plots(results).values())
    crops = portrait_crops(load_teachers(shared / "models"))
    rows = _rows(crops, anonymizer, baselines)
    note = "<p>People made by a generator (CC0), not those measured above.</p>"
    sections["Pictures"] = note + "".join(_picture(row, name) for name, row in rows.items())
    path.write_text(html_page("Privacy, utility and recovery", sections), encoding="utf-8")
