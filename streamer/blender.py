"""Blending: the only place where a frame becomes an anonymised frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import InitVar, dataclass
from fractions import Fraction
from typing import Final

from engines.arrays import UInt8Array
from streamer.frames import ColorSpec, GeneratedFace, TrackedFrame

__all__ = ["AnonymizedFrame", "Blender"]

# Private: whoever holds it may call a frame anonymous. It guards against mistakes, not malice.
_SEAL: Final = object()


@dataclass(frozen=True, slots=True, eq=False)
class AnonymizedFrame:
    """Every tracked face replaced or filled; only `Blender` builds one.

    Attributes:
        pixels: (3H/2, W) uint8 I420, read-only.
        color: how to read the planes.
        pts: presentation time in units of `time_base`.
        time_base: seconds per unit.
        index: number of the frame in its source.
    """

    pixels: UInt8Array
    color: ColorSpec
    pts: int
    time_base: Fraction
    index: int
    seal: InitVar[object]

    def __post_init__(self, seal: object) -> None:
        if seal is not _SEAL:
            raise TypeError("only Blender.blend builds AnonymizedFrame")


class Blender:
    """Covers every tracked face of a frame."""

    def blend(self, tracked: TrackedFrame, faces: Mapping[int, GeneratedFace]) -> AnonymizedFrame:
        """Not there yet."""
        raise NotImplementedError
