"""The seam between networks and whatever runs them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from engines.arrays import AnyArray
from engines.types import EngineInfo, TensorSpec

__all__ = ["Engine"]


class Engine(Protocol):
    """A loaded network.

    May be called from several threads; a back end that cannot run two calls at a time lets them
    wait for each other. Returned arrays belong to the caller.
    """

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What `infer` must be fed."""
        ...

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What `infer` gives back, in the order of the graph."""
        ...

    def infer(self, inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        """Run the network on a batch.

        Raises:
            EngineRunError: a name, type or shape differs from `inputs`, or the backend failed.
        """
        ...

    def warm_up(self) -> None:
        """Run once on zeros of the smallest allowed size, so that the first frame is not late."""
        ...

    def describe(self) -> EngineInfo:
        """What runs here, on what, and why."""
        ...

    def close(self) -> None:
        """Release the device memory; further calls of `infer` are an error."""
        ...
