"""How far two runs of one network lie apart, and how far they may."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from engines.arrays import AnyArray

__all__ = ["Difference", "Tolerance", "compare", "tolerance_for"]

_PEAK: Final = 2.0  # of pictures in [-1, 1]
_BEST_PSNR_DB: Final = 150.0  # what equal pictures are given, since infinity is no JSON
_FACE_SCORE: Final = 0.3


@dataclass(frozen=True, slots=True)
class Tolerance:
    """What a variant may differ by from ONNX Runtime on the CPU in float32.

    Attributes:
        max_error: of any output value; boxes and landmarks are in units of their stride, and count
            only in cells with a score of 0.3 or more.
        min_cosine: of embeddings.
        min_psnr_db: of generated faces, with values from -1 to 1.
    """

    max_error: float
    min_cosine: float
    min_psnr_db: float


# The same arithmetic in another order; then float16; then eight bits.
_TOLERANCES: Final = {
    "fp32": Tolerance(max_error=5e-3, min_cosine=0.9999, min_psnr_db=60.0),
    "fp16": Tolerance(max_error=5e-2, min_cosine=0.999, min_psnr_db=40.0),
    "bf16": Tolerance(max_error=0.3, min_cosine=0.999, min_psnr_db=35.0),
    "int8": Tolerance(max_error=0.5, min_cosine=0.97, min_psnr_db=30.0),
}


def tolerance_for(precision: str) -> Tolerance:
    """The tolerance of "fp32", "fp16", "bf16" or "int8"."""
    return _TOLERANCES[precision]


@dataclass(frozen=True, slots=True)
class Difference:
    """The worst differences over all recorded inputs.

    Attributes:
        max_error: largest difference of an output value.
        mean_error: mean difference of all output values.
        cosine: least cosine of embeddings; None for models without.
        psnr_db: least PSNR of generated faces; None for models without.
    """

    max_error: float
    mean_error: float
    cosine: float | None
    psnr_db: float | None

    def beyond(self, tolerance: Tolerance) -> list[str]:
        """What is out of tolerance, in words; empty when nothing is."""
        found = []
        # Embeddings and faces have measures of their own, which say more than the worst value.
        if (
            self.cosine is None
            and self.psnr_db is None
            and not self.max_error <= tolerance.max_error
        ):
            found.append(f"max error {self.max_error:.2g} > {tolerance.max_error:g}")
        if self.cosine is not None and not self.cosine >= tolerance.min_cosine:
            found.append(f"cosine {self.cosine:.5f} < {tolerance.min_cosine:g}")
        if self.psnr_db is not None and not self.psnr_db >= tolerance.min_psnr_db:
            found.append(f"PSNR {self.psnr_db:.1f} dB < {tolerance.min_psnr_db:g} dB")
        return found


def compare(
    wanted: Sequence[Mapping[str, AnyArray]], got: Sequence[Mapping[str, AnyArray]]
) -> Difference:
    """Compare the outputs of two runs on the same inputs.

    Raises:
        ValueError: outputs differ in name or shape.
    """
    largest, total, count = 0.0, 0.0, 0
    cosines: list[float] = []
    psnrs: list[float] = []
    for one, other in zip(wanted, got, strict=True):
        if set(one) != set(other):
            raise ValueError(f"outputs are {sorted(other)} instead of {sorted(one)}")
        for name, value in one.items():
            if value.shape != other[name].shape:
                raise ValueError(f"{name} is {other[name].shape} instead of {value.shape}")
            error = np.abs(value.astype(np.float64) - other[name])[_counted(name, one)]
            # A NaN must not disappear in max().
            largest = float(np.max([largest, error.max(initial=0.0)]))
            total, count = total + float(error.sum()), count + error.size
            if name == "embedding":
                cosines.append(_least_cosine(value, other[name]))
            if name == "face":
                psnrs.append(_psnr_db(value, other[name]))
    return Difference(
        largest,
        total / max(count, 1),
        min(cosines, default=None),
        min(psnrs, default=None),
    )


def _counted(name: str, outputs: Mapping[str, AnyArray]) -> AnyArray:
    """Index of the values that matter: in detectors, cells that hold a face."""
    kind, _, stride = name.rpartition("_")
    scores = outputs.get(f"score_{stride}")
    if kind in ("bbox", "kps") and scores is not None:
        return np.asarray(scores[..., 0] >= _FACE_SCORE)
    return np.ones(outputs[name].shape, bool)


def _least_cosine(one: AnyArray, other: AnyArray) -> float:
    dots = (one.astype(np.float64) * other).sum(-1)
    lengths = np.linalg.norm(one, axis=-1) * np.linalg.norm(other, axis=-1)
    return float((dots / lengths).min())


def _psnr_db(one: AnyArray, other: AnyArray) -> float:
    squared = float(((one.astype(np.float64) - other) ** 2).mean())
    if squared == 0:
        return _BEST_PSNR_DB
    return float(min(10 * np.log10(_PEAK**2 / squared), _BEST_PSNR_DB))
