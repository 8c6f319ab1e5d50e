"""Array aliases and the shape and type check at the seams."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = [
    "AnyArray",
    "BoolArray",
    "Float32Array",
    "Float64Array",
    "UInt8Array",
    "require_array",
]

Float32Array: TypeAlias = NDArray[np.float32]
Float64Array: TypeAlias = NDArray[np.float64]
UInt8Array: TypeAlias = NDArray[np.uint8]
BoolArray: TypeAlias = NDArray[np.bool_]
# The element type is not known before run time, as with the outputs of a network.
AnyArray: TypeAlias = NDArray[Any]


def require_array(
    name: str, array: AnyArray, shape: Sequence[int | None], dtype: DTypeLike
) -> None:
    """Check an array at a seam.

    Args:
        name: what the caller calls it, for the message.
        array: the array to check.
        shape: expected sizes; None allows any size.
        dtype: expected element type, exactly.

    Raises:
        ValueError: shape or dtype differ; the message states both.
    """
    if array.shape == shape and array.dtype == dtype:
        return  # nearly always, and dozens of times a frame
    fits = array.ndim == len(shape) and all(
        want is None or want == have for want, have in zip(shape, array.shape, strict=True)
    )
    if not fits or array.dtype != np.dtype(dtype):
        wanted = tuple("any" if size is None else size for size in shape)
        raise ValueError(
            f"{name}: expected shape {wanted} of {np.dtype(dtype)}, "
            f"got {array.shape} of {array.dtype}"
        )
