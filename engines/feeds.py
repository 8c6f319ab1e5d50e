"""What a network is fed: the check that all back ends share, and zeros to warm up with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from engines.arrays import AnyArray
from engines.errors import EngineRunError
from engines.types import TensorSpec

__all__ = ["check_feeds", "smallest_feeds"]


def check_feeds(model: str, specs: Sequence[TensorSpec], feeds: Mapping[str, AnyArray]) -> None:
    """Compare inputs with what the network expects.

    Args:
        model: name and version, for the message.
        specs: inputs of the network.
        feeds: arrays by input name.

    Raises:
        EngineRunError: a name, type or shape differs.
    """
    if set(feeds) != {spec.name for spec in specs}:
        names = ", ".join(spec.name for spec in specs)
        raise EngineRunError(f"{model}: expects inputs {names}")
    for spec in specs:
        array = feeds[spec.name]
        fits = array.ndim == len(spec.shape) and all(
            want is None or want == have for want, have in zip(spec.shape, array.shape, strict=True)
        )
        if not fits or array.dtype.name != spec.dtype:
            raise EngineRunError(
                f"{model}: input {spec.name} must be {spec.shape} of {spec.dtype}, "
                f"got {array.shape} of {array.dtype}"
            )


def smallest_feeds(specs: Sequence[TensorSpec]) -> dict[str, AnyArray]:
    """Zeros; free sizes become 1 (batch) or 64 (pixels).

    Args:
        specs: inputs of the network.
    """
    return {
        spec.name: np.zeros(
            [size or (1 if axis == 0 else 64) for axis, size in enumerate(spec.shape)], spec.dtype
        )
        for spec in specs
    }
