"""Blocks of identity coordinates whose spread is alike: what a keyed rotation keeps apart."""

from __future__ import annotations

from itertools import pairwise
from typing import Final

__all__ = ["identity_blocks"]

# Shares of the coordinates, as fractions, at which a block ends; the last one ends with them.
_ENDS: Final = ((1, 8), (1, 3), (5, 8))
_FEWEST: Final = 48


def identity_blocks(dim: int) -> tuple[tuple[int, int], ...]:
    """Where the blocks of ``dim`` coordinates, strongest first, start and end.

    Coordinates of real identities differ in spread by a factor of three, and a face shows the
    strong ones best. A rotation that stays inside blocks turns an identity into one that is spread
    like that of a real person (docs/decisions/0075).

    Args:
        dim: Number of coordinates, even.

    Returns:
        (start, end) of each block, all of even length; one block where there are few coordinates.
    """
    if dim < _FEWEST:
        return ((0, dim),)
    edges = [0, *(2 * ((part * dim + whole) // (2 * whole)) for part, whole in _ENDS), dim]
    return tuple(pairwise(edges))
