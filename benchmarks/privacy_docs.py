"""Puts measured figures into docs/evaluation.md: no figure there is typed by hand.

`python -m benchmarks.privacy_docs --privacy P.json --video V.json` replaces whatever stands between
`<!-- table: NAME -->` and `<!-- end -->`, and draws the plots anew.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from benchmarks.clips import BenchmarkError
from benchmarks.command_line import REPOSITORY
from benchmarks.privacy_bars import bars_table, image_bars, video_bars
from benchmarks.privacy_html import plots
from benchmarks.privacy_tables import all_tables
from benchmarks.system_info import SystemInfo
from benchmarks.video_report import video_tables

__all__ = ["filled", "main"]

_PAGE: Final = REPOSITORY / "docs" / "evaluation.md"
_PLOTS: Final = "evaluation-{}.svg"
_PLACE: Final = re.compile(r"(<!-- table: (?P<name>[^>]+?) -->\n).*?(<!-- end -->)", re.DOTALL)


def filled(page: str, tables: Mapping[str, str]) -> str:
    """The page with the tables at their places; places without a table stay as they are.

    Raises:
        BenchmarkError: a table has no place, so the page would hide a result.
    """
    names = {match["name"] for match in _PLACE.finditer(page)}
    if lost := sorted(set(tables) - names):
        raise BenchmarkError(f"the page has no place for: {', '.join(lost)}")

    def put(match: re.Match[str]) -> str:
        table = tables.get(match["name"])
        return match[0] if table is None else f"{match[1]}{table}\n{match[3]}"

    return _PLACE.sub(put, page)


def _machine(document: Mapping[str, Any], what: str) -> str:
    return f"{what}: {SystemInfo(**document['system']).line()}."


def _image_tables(document: Mapping[str, Any]) -> dict[str, str]:
    results = document["results"]
    tables = dict(all_tables(results))
    tables["Bars on images"] = bars_table(image_bars(results))
    s, weights = results["settings"], results["weights"]
    tables["Run on images"] = (
        f"{s['people']} people, {s['seeds']} seeds; in a seed {s['per_person'] or 'all other'} "
        f"pictures of each for our default and random levels and the informed attacker, "
        f"{s['recovery_per_person'] or 'all'} of them brought back, one of each for everything "
        "else; "
        f"{s['others']} pictures of other people for the informed attacker; encoder "
        f"{weights['encoder'][:8]}, generator {weights['generator'][:8]}.\n"
        f"{_machine(document, 'Machine')}"
    )
    return tables


def _video_tables(document: Mapping[str, Any]) -> dict[str, str]:
    results = document["results"]
    tables = {f"Footage: {name}": table for name, table in video_tables(results).items()}
    tables["Bars on footage"] = bars_table(video_bars(results))
    tables["Run on footage"] = _machine(document, "Machine")
    return tables


def main(argv: Sequence[str] | None = None) -> int:
    """Rewrite the page; 0, or 2 when it cannot be."""
    parser = argparse.ArgumentParser(prog="benchmarks.privacy_docs", description=__doc__)
    parser.add_argument("--privacy", type=Path, metavar="JSON")
    parser.add_argument("--video", type=Path, metavar="JSON")
    parser.add_argument("--page", type=Path, default=_PAGE)
    args = parser.parse_args(argv)
    tables: dict[str, str] = {}
    drawn: dict[str, str] = {}
    try:
        if args.privacy:
            document = json.loads(args.privacy.read_text(encoding="utf-8"))
            tables |= _image_tables(document)
            drawn = {
                _PLOTS.format(name.replace(" ", "-")): plot
                for name, plot in plots(document["results"]).items()
            }
            tables["Plots"] = "\n\n".join(f"![{n}](images/{n})" for n in drawn)
        if args.video:
            tables |= _video_tables(json.loads(args.video.read_text(encoding="utf-8")))
        page = filled(args.page.read_text(encoding="utf-8"), tables)
    except KeyError as exc:
        print(f"error: the figures lack {exc}; another version wrote them", file=sys.stderr)
        return 2
    except (BenchmarkError, OSError) as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 2
    args.page.write_text(page, encoding="utf-8")
    for name, plot in drawn.items():
        place = args.page.parent / "images" / name
        place.parent.mkdir(exist_ok=True)
        place.write_text(plot + "\n", encoding="utf-8")
    print(f"{args.page}: {len(tables)} tables, {len(drawn)} plots")
    return 0


if __name__ == "__main__":
    sys.exit(main())
