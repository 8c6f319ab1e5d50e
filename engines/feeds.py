"""The check of what a network is fed, shared by all back ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from engines.arrays import AnyArray
from engines.errors import EngineRunError
from engines.types import TensorSpec

__all__ = ["check_feeds"]


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
