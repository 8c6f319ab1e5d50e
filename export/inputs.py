"""The recorded inputs of `export verify`: the same bytes on every machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np

from engines.arrays import AnyArray, Float32Array, UInt8Array
from engines.manifest import ModelManifest
from engines.types import TensorSpec

__all__ = ["recorded_inputs"]

_SEED: Final = 20261124
_FREE_HW: Final = (192, 320)
_PICTURE_NDIM: Final = 4
_LUMA: Final = np.array([0.299, 0.587, 0.114], np.float32)


def recorded_inputs(
    manifest: ModelManifest, inputs: Sequence[TensorSpec], pictures: Sequence[UInt8Array]
) -> list[dict[str, AnyArray]]:
    """One feed of batch 1 for each picture.

    Four-axis inputs get the picture (its luma, for one channel), scaled and normalised as the
    manifest says; two-axis inputs get a unit vector.

    Args:
        manifest: mean and standard deviation of the model.
        inputs: what the model takes.
        pictures: (H, W, 3) uint8 RGB of any size.
    """
    rng = np.random.default_rng(_SEED)
    feeds: list[dict[str, AnyArray]] = []
    for picture in pictures:
        feed: dict[str, AnyArray] = {}
        for spec in inputs:
            if len(spec.shape) == _PICTURE_NDIM:
                feed[spec.name] = _picture(manifest, spec, picture)
            else:
                feed[spec.name] = _unit(rng.normal(size=[n or 1 for n in spec.shape]))
        feeds.append(feed)
    return feeds


def _picture(manifest: ModelManifest, spec: TensorSpec, picture: UInt8Array) -> Float32Array:
    height, width = (spec.shape[2] or _FREE_HW[0]), (spec.shape[3] or _FREE_HW[1])
    side = min(picture.shape[0], picture.shape[1] * height // width)
    wide = side * width // height
    top, left = (picture.shape[0] - side) // 2, (picture.shape[1] - wide) // 2
    cut = picture[top : top + side, left : left + wide]
    scaled = np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA), np.float32)
    if spec.shape[1] == 1:
        scaled = (scaled @ _LUMA)[..., None]
    normal = (scaled - np.float32(manifest.mean)) / np.float32(manifest.std)
    return np.ascontiguousarray(normal.transpose(2, 0, 1)[None])


def _unit(values: AnyArray) -> Float32Array:
    return np.asarray(values / np.linalg.norm(values, axis=-1, keepdims=True), np.float32)
