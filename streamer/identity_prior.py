"""What is known of anybody's identity before one is read: where those of real people lie."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engines.arrays import Float32Array
from engines.errors import EngineLoadError
from engines.manifest import companion_array

__all__ = ["IdentityPrior", "load_prior"]


class IdentityPrior:
    """Corrects identities that were read with an error, turned back with the right key.

    The keyed rotation spreads the error of reading over all directions alike, while real
    identities lie in some more than in others. The likeliest identity under a normal distribution
    of both (the Wiener filter) is nearer to the true one than what was read.

    Args:
        mean: (K,) mean coordinates of real identities.
        covariance: (K, K) of their coordinates.
        read_cosine: mean cosine between what is read and what is true, between 0 and 1.
    """

    def __init__(self, mean: Float32Array, covariance: Float32Array, read_cosine: float) -> None:
        self._mean = mean.astype(np.float64)
        self._cosine = read_cosine
        count = len(mean)
        spread = (1.0 - read_cosine**2) / read_cosine**2 / count
        noisy = covariance + spread * np.eye(count)
        self._gain = np.linalg.solve(noisy, covariance.astype(np.float64)).T

    def likeliest(self, read: Float32Array) -> Float32Array:
        """(K,) unit coordinates that were read to the (K,) likeliest unit coordinates."""
        found = self._mean + self._gain @ (read / self._cosine - self._mean)
        unit: Float32Array = (found / max(float(np.linalg.norm(found)), 1e-12)).astype(np.float32)
        return unit


def load_prior(extra: Mapping[str, object], folder: Path) -> IdentityPrior | None:
    """The prior that a reader's manifest names; None if it names none.

    Args:
        extra: further entries of the manifest: `identity_prior` names a file with the mean in its
            first row and the covariance below, `read_cosine` says how well the reader reads.
        folder: where the file lies.

    Raises:
        EngineLoadError: missing file, wrong hash or shape.
    """
    entry, cosine = extra.get("identity_prior"), extra.get("read_cosine")
    rows = companion_array(extra, "identity_prior", folder)
    if rows is None or not isinstance(entry, dict) or not isinstance(cosine, float):
        return None
    if rows.ndim != 2 or rows.shape[0] != rows.shape[1] + 1 or not 0.0 < cosine < 1.0:
        path = folder / str(entry["file"])
        raise EngineLoadError(path, "is no mean and covariance, or read_cosine is not in (0, 1)")
    return IdentityPrior(rows[0], rows[1:], cosine)
