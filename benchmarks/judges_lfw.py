"""Thresholds of the judges from LFW: the distance at which strangers are confused so often."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.judges import ImageJudge, distance_matrix, row_distances
from benchmarks.models_encoder import PairSet, load_lfw
from engines.arrays import Float64Array, UInt8Array

__all__ = ["FALSE_ACCEPT_RATES", "calibrated", "far_threshold", "lfw_canvases"]

FALSE_ACCEPT_RATES: Final = {"FAR 1e-3": 1e-3, "FAR 1e-4": 1e-4}
_MARGIN_PX: Final = 16


def far_threshold(impostors: Float64Array, rate: float) -> float:
    """The greatest distance at which at most `rate` of the impostor pairs are accepted."""
    allowed = int(rate * len(impostors))
    ordered = np.partition(impostors, allowed)
    # Just below the first pair that must be refused.
    return float(np.nextafter(ordered[allowed], 0.0))


def lfw_canvases(pairs: PairSet) -> UInt8Array:
    """LFW's 128 px crops on 160 px canvases, edges replicated; (N, 160, 160, 3)."""
    edge = (_MARGIN_PX,) * 4
    return np.stack(
        [np.asarray(cv2.copyMakeBorder(c, *edge, cv2.BORDER_REPLICATE)) for c in pairs.canvases]
    )


def calibrated(judge: ImageJudge, shared: Path, *, every_pair: bool = False) -> ImageJudge:
    """The judge with thresholds at both false accept rates.

    Impostors are all pairs among one picture of each person; genuine pairs are LFW's own.

    Args:
        judge: its `embed` is asked about all pictures.
        shared: holds `faces/eval`.
        every_pair: all 6,000 pairs of the standard protocol, not every tenth.
    """
    lfw = load_lfw(shared, quick=not every_pair)
    embedded = judge.embed(lfw_canvases(lfw))
    first = sorted({name: i for i, name in reversed(list(enumerate(lfw.people)))}.values())
    chosen = embedded[first]
    impostors = distance_matrix(chosen, chosen)[np.triu_indices(len(chosen), 1)]
    genuine = row_distances(embedded[lfw.left], embedded[lfw.right])[lfw.same]
    thresholds = dict(judge.thresholds)
    for name, rate in FALSE_ACCEPT_RATES.items():
        thresholds[name] = far_threshold(impostors, rate)
    accepted = [
        {name: float((pairs <= at).mean()) for name, at in thresholds.items()}
        for pairs in (genuine, impostors)
    ]
    return ImageJudge(judge.name, judge.embed, thresholds, *accepted)
