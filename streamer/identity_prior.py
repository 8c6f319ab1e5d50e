"""What is known of anybody's identity before one is read: where those of real people lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import numpy as np

from engines.arrays import Float32Array, Float64Array
from engines.errors import EngineLoadError
from engines.manifest import companion_array

__all__ = ["IdentityPrior", "load_prior"]

_FIGURES: Final = {"read_blocks", "read_cosine"}


class IdentityPrior:
    """Corrects identities that were read with an error, turned back with the right key.

    What is read of a coordinate is `gain` times the true one plus noise; the keyed rotation spreads
    both over the directions of a block alike, while real identities lie in some directions more
    than in others. The likeliest identity under normal distributions of all (the Wiener filter) is
    nearer to the true one than what was read.

    Args:
        mean: (K,) mean coordinates of real identities.
        covariance: (K, K) of their coordinates.
        gain: (K,) how much of each coordinate is read, over 0.
        noise: (K,) standard deviation of the error of reading.

    Attributes:
        gain: as given.
    """

    def __init__(
        self,
        mean: Float32Array,
        covariance: Float32Array,
        gain: Float64Array,
        noise: Float64Array,
    ) -> None:
        self._mean = mean.astype(np.float64)
        self.gain = gain
        spread = covariance.astype(np.float64)
        read = gain[:, None] * spread * gain + np.diag(noise**2)
        self._filter = np.linalg.solve(read, gain[:, None] * spread).T

    def likeliest(self, read: Float32Array) -> Float32Array:
        """(K,) unit coordinates that were read to the (K,) likeliest unit coordinates."""
        found = self._mean + self._filter @ (read - self.gain * self._mean)
        unit: Float32Array = (found / max(float(np.linalg.norm(found)), 1e-12)).astype(np.float32)
        return unit


def load_prior(extra: Mapping[str, object], folder: Path) -> IdentityPrior | None:
    """The prior that a reader's manifest names; None if it names none.

    Args:
        extra: further entries of the manifest: `identity_prior` names a file with the mean in its
            first row and the covariance below. How well the reader reads is in `read_blocks`, a
            list of coordinates, gain and noise of each block, or in `read_cosine`, if all
            coordinates are read alike.
        folder: where the file lies.

    Raises:
        EngineLoadError: missing file, wrong hash, shape or figures.
    """
    entry = extra.get("identity_prior")
    rows = companion_array(extra, "identity_prior", folder)
    if rows is None or not isinstance(entry, dict) or not _FIGURES & extra.keys():
        return None
    path = folder / str(entry["file"])
    if rows.ndim != 2 or rows.shape[0] != rows.shape[1] + 1:
        raise EngineLoadError(path, "is no mean and covariance")
    try:
        gain, noise = _figures(extra, rows.shape[1])
    except (TypeError, ValueError) as exc:
        raise EngineLoadError(path, f"read_blocks or read_cosine is unusable: {exc}") from exc
    return IdentityPrior(rows[0], rows[1:], gain, noise)


def _figures(extra: Mapping[str, object], dim: int) -> tuple[Float64Array, Float64Array]:
    """Gain and noise of each coordinate."""
    blocks = extra.get("read_blocks")
    if blocks is None:
        cosine = float(str(extra["read_cosine"]))
        if not 0.0 < cosine < 1.0:
            raise ValueError(f"{cosine} is not in (0, 1)")
        return np.full(dim, cosine), np.full(dim, np.sqrt((1.0 - cosine**2) / dim))
    table = np.asarray(blocks, np.float64)
    if table.ndim != 2 or table.shape[1] != 3 or not (table > 0.0).all():
        raise ValueError("each block has coordinates, gain and noise, all over 0")
    gain, noise = (np.repeat(table[:, column], table[:, 0].astype(int)) for column in (1, 2))
    if len(gain) != dim:
        raise ValueError(f"its blocks have {len(gain)} coordinates, not {dim}")
    return gain, noise
