"""Thumbnails: small pictures of original faces, for recovery where no originals are sealed.

A few hundred bytes of aligned face hold light, skin and the broad shape of a face; recovery draws
the fine parts by the identity. Figures: docs/decisions/0085-thumbnails-for-assisted-recovery.md.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from engines.arrays import Float64Array, UInt8Array, require_array
from engines.errors import KeyLogFormatError
from streamer.key_log_faces import Face
from streamer.sealed_patch import jpeg_shape

__all__ = [
    "EDGE_PX",
    "decode_thumbnail",
    "encode_thumbnail",
    "enlarged",
    "held_to",
    "reduced",
    "thumbnail_place",
]

EDGE_PX: Final = 40
_JPEG_OPTIONS: Final = (
    cv2.IMWRITE_JPEG_QUALITY,
    90,
    cv2.IMWRITE_JPEG_OPTIMIZE,
    1,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_420,
)


def thumbnail_place(face: Face, size_px: int) -> Float64Array:
    """What a thumbnail shows: the aligned face, or the whole box of a face that was covered.

    Args:
        face: where it is.
        size_px: side S of the crop.

    Returns:
        (2, 3) float64, maps pixels of the (S, S) crop to pixels of the frame.
    """
    if face.is_generated:
        return face.frame_from_crop
    x1, y1, x2, y2 = (float(value) for value in face.box_xyxy_px)
    across, down = max(x2 - x1, 1.0) / size_px, max(y2 - y1, 1.0) / size_px
    # The centre of a pixel is half a pixel inside of its edge, in both sizes.
    return np.array(
        [[across, 0.0, x1 + (across - 1) / 2], [0.0, down, y1 + (down - 1) / 2]], np.float64
    )


def encode_thumbnail(crop: UInt8Array) -> bytes:
    """The payload of a `Thumbnail` record.

    Args:
        crop: (S, S, 3) uint8 RGB original, cut out as `thumbnail_place` says.
    """
    require_array("crop", crop, (None, None, 3), np.uint8)
    bgr = cv2.cvtColor(reduced(crop), cv2.COLOR_RGB2BGR)
    done, data = cv2.imencode(".jpg", bgr, _JPEG_OPTIONS)
    if not done:  # never seen; a face without its thumbnail is recovered a little worse
        raise KeyLogFormatError("a thumbnail cannot be coded")
    return data.tobytes()


def decode_thumbnail(payload: bytes) -> UInt8Array:
    """The (40, 40, 3) uint8 RGB picture that `encode_thumbnail` coded.

    Raises:
        KeyLogFormatError: the payload is not a picture of that size.
    """
    shape = jpeg_shape(payload)
    if shape != (EDGE_PX, EDGE_PX):  # before decoding: a few bytes may claim a gigapixel
        raise KeyLogFormatError(f"a thumbnail of {EDGE_PX} px claims to be {shape}")
    try:
        bgr = cv2.imdecode(np.frombuffer(payload, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:
        bgr = None
    if bgr is None or bgr.shape != (EDGE_PX, EDGE_PX, 3):
        raise KeyLogFormatError("a thumbnail cannot be decoded")
    rgb: UInt8Array = cv2.cvtColor(bgr.astype(np.uint8, copy=False), cv2.COLOR_BGR2RGB)
    return rgb


def enlarged(thumbnail: UInt8Array, size_px: int) -> UInt8Array:
    """(S, S, 3) uint8 RGB, without more detail than the thumbnail has."""
    large: UInt8Array = cv2.resize(thumbnail, (size_px, size_px), interpolation=cv2.INTER_CUBIC)
    return large


def held_to(thumbnail: UInt8Array, face: UInt8Array) -> UInt8Array:
    """The face with the coarse parts of the thumbnail and its own fine ones.

    Args:
        thumbnail: (T, T, 3) uint8 RGB.
        face: (S, S, 3) uint8 RGB, S at least T.

    Returns:
        (S, S, 3) uint8 RGB.
    """
    edge, size = len(thumbnail), len(face)
    error = thumbnail.astype(np.float32) - reduced(face, edge)
    held = face + cv2.resize(error, (size, size), interpolation=cv2.INTER_CUBIC)
    result: UInt8Array = np.clip(np.rint(held), 0, 255).astype(np.uint8)
    return result


def reduced(face: UInt8Array, edge_px: int = EDGE_PX) -> UInt8Array:
    """(T, T, 3) uint8 RGB of an (S, S, 3) face: means of its cells."""
    small: UInt8Array = cv2.resize(face, (edge_px, edge_px), interpolation=cv2.INTER_AREA)
    return small
