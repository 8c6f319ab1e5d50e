"""The encoder by skin tone, gender and age, on the labelled pictures of the training set.

No set at hand has both several pictures of a person and these labels, and all labelled pictures are
training pictures. So nothing here is a recognition rate. Two things are measured in each group:

- `false_match_ratio`: how often two pictures of a group, which show different people except for
  the few duplicates in the sources, are taken for one person at the LFW threshold of FAR 1e-3.
- `stability`: the mean cosine of a picture to itself after H.264 at CRF 28, moved by 2 px.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.encoder_views import h264, shifted
from engines.arrays import Float32Array, UInt8Array
from training.crops import read_index, read_tar_crops

__all__ = ["age_group", "group_figures"]

_PER_GROUP: Final = 400
_SMALLEST: Final = 100
# One picture a person; SCUT and the generated set are studio-like and would flatter.
_SOURCES: Final = ("utk", "ff")


def age_group(age: str) -> str:
    """The name of an age group, for an age in years as text."""
    years = float(age)
    for name, until in (("under 18", 18), ("18-39", 40), ("40-59", 60)):
        if years < until:
            return name
    return "60 and over"


def group_figures(
    shared: Path, embed: Callable[[UInt8Array], Float32Array], *, threshold: float
) -> dict[str, object]:
    """False matches and stability of each group, and the worst group of each kind.

    Args:
        shared: folder that holds `faces`.
        embed: crops (N, 112, 112, 3) uint8 RGB to unit embeddings.
        threshold: cosine from which two pictures count as one person.
    """
    data = shared / "faces" / "train"
    rows = [r for r in read_index(data / "index.csv") if r["source"] in _SOURCES]
    members: dict[str, list[dict[str, str]]] = {}
    for row in rows:
        for kind in ("race", "gender", "age"):
            if row[kind]:
                label = age_group(row[kind]) if kind == "age" else row[kind]
                members.setdefault(f"{kind}: {label}", []).append(row)
    figures = {}
    for name, group in sorted(members.items()):
        if len(group) >= _SMALLEST:
            picked = [group[i] for i in np.linspace(0, len(group) - 1, _PER_GROUP).astype(int)]
            picked = list({row["file"]: row for row in picked}.values())
            figures[name] = _figures(data, picked, embed, threshold)
    return {
        "by_group": figures,
        "worst_false_match": max(figures, key=lambda g: figures[g]["false_match_ratio"]),
        "worst_stability": min(figures, key=lambda g: figures[g]["stability"]),
    }


def _figures(
    data: Path,
    rows: list[dict[str, str]],
    embed: Callable[[UInt8Array], Float32Array],
    threshold: float,
) -> dict[str, float]:
    tars = [data / name for name in sorted({r["shard"] for r in rows})]
    canvases = read_tar_crops(tars, [r["file"] for r in rows], size_px=160)
    plain = embed(shifted(canvases, right_px=0, down_px=0))
    seen = embed(shifted(h264(canvases), right_px=2, down_px=2))
    cosines = (plain @ plain.T)[np.triu_indices(len(plain), 1)]
    return {
        "pictures": float(len(rows)),
        "false_match_ratio": float((cosines > threshold).mean()),
        "stability": float((plain * seen).sum(1).mean()),
    }
