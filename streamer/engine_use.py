"""EngineUse: what the shared networks of a site were asked, for whoever watches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from engines.shared_batch import BatchCounts

__all__ = ["EngineUse"]


@dataclass(frozen=True, slots=True)
class EngineUse:
    """What the engine server's networks were asked since it began.

    Attributes:
        networks: counts by name and version.
        restarts: how often the server was started again.
    """

    networks: Mapping[str, BatchCounts]
    restarts: int
