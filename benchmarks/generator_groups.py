"""The generator by skin tone, gender and age.

Only training pictures carry these labels, so this compares groups with each other; how well the
generator does on unseen people is in the other figures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.assisted import assisted
from benchmarks.encoder_groups import age_group
from benchmarks.generator_judges import Judge
from benchmarks.generator_material import Product, key_of
from engines.arrays import UInt8Array
from training.crops import read_index, read_tar_crops

__all__ = ["worst_groups"]

_PER_GROUP: Final = 60
_SOURCES: Final = ("utk", "ff")
_LEVEL: Final = 3


def worst_groups(shared: Path, product: Product, judge: Judge) -> dict[str, object]:
    """Figures of every labelled group, and the worst one of each figure."""
    data = shared / "faces" / "train"
    members: dict[str, list[dict[str, str]]] = {}
    for row in read_index(data / "index.csv"):
        if row["source"] not in _SOURCES:
            continue
        for kind in ("race", "gender", "age"):
            if row[kind]:
                label = age_group(row[kind]) if kind == "age" else row[kind]
                members.setdefault(f"{kind}: {label}", []).append(row)
    groups = {}
    for name, rows in sorted(members.items()):
        if len(rows) >= _PER_GROUP:
            chosen = rows[:: len(rows) // _PER_GROUP][:_PER_GROUP]
            tars = [data / shard for shard in sorted({row["shard"] for row in chosen})]
            crops = read_tar_crops(tars, [row["file"] for row in chosen], size_px=160)
            groups[name] = _figures(crops, product, judge)
    names = ("protection_sr", "recovery_sr_assisted")
    worst = {
        "protection_sr": min(groups, key=lambda g: groups[g][names[0]]),
        "recovery_sr_assisted": max(groups, key=lambda g: groups[g][names[1]]),
    }
    return {"groups": groups, "worst": worst}


def _figures(crops: UInt8Array, product: Product, judge: Judge) -> dict[str, float]:
    identities = product.embed(crops)
    made = product.make(crops, product.turn(identities, key_of(5), _LEVEL))
    again = assisted(product.generator, made, identities, crops)
    original = judge.embed(crops)
    return {
        "protection_sr": 1.0 - float(np.mean(judge.same(judge.embed(made), original))),
        "recovery_sr_assisted": 1.0 - float(np.mean(judge.same(judge.embed(again), original))),
    }
