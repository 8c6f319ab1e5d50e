"""Assisted recovery of aligned crops, as from a key log with identities and thumbnails."""

from __future__ import annotations

import numpy as np

from engines.arrays import Float32Array, UInt8Array
from engines.face_mask import blended, face_mask
from engines.generator import FaceGenerator
from streamer.thumbnail import decode_thumbnail, encode_thumbnail, held_to

__all__ = ["assisted"]


def assisted(
    generator: FaceGenerator, seen: UInt8Array, identities: Float32Array, originals: UInt8Array
) -> UInt8Array:
    """Faces brought back.

    Args:
        generator: E_attr and G.
        seen: (N, S, S, 3) uint8 RGB, new faces as they arrive.
        identities: (N, 512) of the originals, which the log keeps.
        originals: (N, S, S, 3) uint8 RGB; the log keeps thumbnails of them.

    Returns:
        (N, S, S, 3) uint8 RGB.
    """
    made, alphas = generator.generate(seen, identities)
    thumbnails = [decode_thumbnail(encode_thumbnail(crop)) for crop in originals]
    held = np.stack([held_to(t, face) for t, face in zip(thumbnails, made, strict=True)])
    return blended(seen, held, alphas * face_mask(generator.crop_size_px))
