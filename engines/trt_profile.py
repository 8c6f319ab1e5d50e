"""Optimisation profiles: the ranges of input shapes that a TensorRT engine is built for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engines.errors import EngineLoadError
from engines.types import TensorSpec

__all__ = ["ShapeLimits", "ShapeRange", "shape_ranges"]

_CHANNELS = 3
_BATCH_AXIS, _CHANNEL_AXIS = 0, 1
_PICTURE_NDIM = 4


@dataclass(frozen=True, slots=True)
class ShapeLimits:
    """How far free sizes may go.

    Attributes:
        max_batch: most items of one call; longer calls are split.
        best_batch: number of items that kernels are chosen for.
        min_side_px: shortest side of pictures of free size.
        best_hw: size that kernels are chosen for, of pictures of free size.
        max_side_px: longest side of pictures of free size.
    """

    max_batch: int = 16
    best_batch: int = 4
    min_side_px: int = 32
    best_hw: tuple[int, int] = (384, 640)
    max_side_px: int = 1280

    @staticmethod
    def from_manifest(extra: Mapping[str, Any]) -> ShapeLimits:
        """Take limits from a manifest's entry `tensorrt`; defaults where it is silent."""
        base, given = ShapeLimits(), extra.get("tensorrt", {})
        return ShapeLimits(
            max_batch=int(given.get("max_batch", base.max_batch)),
            max_side_px=int(given.get("max_side_px", base.max_side_px)),
        )


@dataclass(frozen=True, slots=True)
class ShapeRange:
    """Allowed shapes of one input, from `least` to `most`, at their best at `best`."""

    name: str
    least: tuple[int, ...]
    best: tuple[int, ...]
    most: tuple[int, ...]


def shape_ranges(
    inputs: Sequence[TensorSpec], limits: ShapeLimits, model_path: Path
) -> tuple[ShapeRange, ...]:
    """The range of every input that has a free size; none for fixed ones.

    Raises:
        EngineLoadError: a free size that is neither the batch nor a side of a picture.
    """
    return tuple(
        _range(spec, limits, model_path) for spec in inputs if any(n is None for n in spec.shape)
    )


def _range(spec: TensorSpec, limits: ShapeLimits, model_path: Path) -> ShapeRange:
    sizes = [_axis(spec, axis, limits, model_path) for axis in range(len(spec.shape))]
    least, best, most = (tuple(column) for column in zip(*sizes, strict=True))
    return ShapeRange(spec.name, least, best, most)


def _axis(
    spec: TensorSpec, axis: int, limits: ShapeLimits, model_path: Path
) -> tuple[int, int, int]:
    size = spec.shape[axis]
    if size is not None:
        return size, size, size
    if axis == _BATCH_AXIS:
        return 1, min(limits.best_batch, limits.max_batch), limits.max_batch
    if len(spec.shape) == _PICTURE_NDIM and axis == _CHANNEL_AXIS:
        return _CHANNELS, _CHANNELS, _CHANNELS
    if len(spec.shape) == _PICTURE_NDIM:
        best = min(limits.best_hw[axis - 2], limits.max_side_px)
        return limits.min_side_px, best, limits.max_side_px
    raise EngineLoadError(
        model_path,
        f"axis {axis} of input {spec.name} is free, but is neither a batch nor a picture's side",
    )
