"""The report of a recovery for a case file: one HTML page that holds everything it shows."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final

from engines.arrays import UInt8Array
from streamer.recovery_case import Case
from streamer.recovery_samples import Sample, TrackTimes
from streamer.recovery_sheet import png_bytes

__all__ = ["case_html"]

_HEAD: Final = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Recovery of faces</title>
<style>
body { font: 15px/1.45 sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #222 }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; margin-top: 2em; border-bottom: 1px solid #bbb }
table { border-collapse: collapse; margin: .6em 0 } td, th { padding: .2em .7em .2em 0;
text-align: left; vertical-align: top } td.h, code { font-family: monospace; font-size: .85em;
overflow-wrap: anywhere } figure { display: inline-block; margin: .3em .8em .8em 0; width: 330px }
figcaption { font-size: .8em; overflow-wrap: anywhere } img { width: 160px; height: 160px }
.no { background: #fdf3e1; padding: .1em 1em } .yes { background: #edf5ec; padding: .1em 1em }
@media print { figure, tr { break-inside: avoid } }
</style></head><body>
"""


def case_html(
    case: Case, samples: Sequence[Sample], tracks: Mapping[int, TrackTimes], *, name: str
) -> str:
    """The page; it loads nothing from anywhere.

    Args:
        case: the facts.
        samples: pictures of what came back.
        tracks: when each track came back.
        name: of the case or file, for the heading.
    """
    parts = [
        _HEAD,
        f"<h1>Recovery of faces: {escape(name)}</h1>",
        f"<p>Made {escape(case.made)} by {escape(case.tools[0][1])}.</p>",
        "<h2>What is proven</h2>", f'<div class="yes">{_list(case.proven)}</div>',
        "<h2>What is not proven</h2>", f'<div class="no">{_list(case.not_proven)}</div>',
        "<h2>What could not be placed or brought back</h2>",
        _list((*case.unplaced, *case.warnings)) or "<p>Nothing of what was asked for.</p>",
        "<h2>Who, when and why</h2>", _table(case.audit),
        "<h2>What was asked for, and what came of it</h2>", _table(case.parameters),
        "<h2>Files</h2>", _files(case),
        "<h2>Tracks</h2>", _tracks(tracks, samples),
    ]  # fmt: skip
    for number, facts in enumerate(case.logs, start=1):
        parts += [f"<h2>Key log, part {number}</h2>", _table(facts)]
    parts += ["<h2>Tools</h2>", _table(case.tools), "</body></html>\n"]
    return "\n".join(parts)


def _list(lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul>{items}</ul>" if items else ""


def _table(rows: Iterable[tuple[str, str]]) -> str:
    cells = "".join(
        f'<tr><th>{escape(key)}</th><td class="h">{escape(value)}</td></tr>' for key, value in rows
    )
    return f"<table>{cells}</table>"


def _files(case: Case) -> str:
    rows = "".join(
        f"<tr><th>{escape(fact.role)}</th><td>{escape(fact.path)}</td><td>{fact.size_bytes} bytes"
        f'</td><td class="h">SHA-256 {fact.sha256}</td></tr>'
        for fact in case.files
    )
    return f"<table>{rows}</table>"


def _tracks(tracks: Mapping[int, TrackTimes], samples: Sequence[Sample]) -> str:
    if not tracks:
        return "<p>No face came back.</p>"
    parts = []
    for track_id in sorted(tracks):
        times = tracks[track_id]
        parts.append(
            f"<h3>Track {track_id}</h3><p>{times.first_s:.3f} s to {times.last_s:.3f} s of the "
            f"video, {times.frames} frames, of these {times.proven} proven by digests. Left: in "
            "the anonymised video; right: brought back. Each picture is the region around the "
            "face, scaled to 160 pixels.</p>"
        )
        parts += [_figure(sample) for sample in samples if sample.track_id == track_id]
    return "".join(parts)


def _figure(sample: Sample) -> str:
    before, _ = _image(sample.anonymised)
    after, digest = _image(sample.recovered)
    log = "" if sample.placed.log_s is None else f"; {float(sample.placed.log_s):.3f} s in the log"
    how = {"proven": "place proven", "by time": "placed by time alone", "not": "not placed"}
    width, height = sample.size_px
    return (
        f"<figure>{before}{after}<figcaption>{sample.time_s:.3f} s in the video{log}; "
        f"{how[sample.placed.how]}; face {width} x {height} pixels<br>SHA-256 of the right picture "
        f"(PNG): <code>{digest}</code></figcaption></figure>"
    )


def _image(picture: UInt8Array) -> tuple[str, str]:
    data = png_bytes(picture)
    text = base64.b64encode(data).decode()
    return f'<img alt="" src="data:image/png;base64,{text}">', hashlib.sha256(data).hexdigest()
