"""Tables and JSON files of the benchmarks."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.system_info import describe_system

__all__ = ["markdown_table", "write_json"]


def markdown_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def write_json(path: Path, results: Mapping[str, object]) -> None:
    """Write figures with the machine they were measured on."""
    document = {"system": describe_system().as_dict(), "results": results}
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
