"""Sealed patches: original pixels of a frame region, coded small enough to keep for every face.

One grey JPEG holds all three planes; what was written is decoded again and compared, and coded
better until every plane is within 42 dB. Figures: docs/decisions/0008-sealed-codec.md.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from engines.arrays import UInt8Array, require_array
from engines.errors import KeyLogFormatError
from streamer.key_log_records import SealedPatch

__all__ = [
    "MIN_PSNR_DB",
    "Planes",
    "cut_planes",
    "decode_planes",
    "encode_planes",
    "even_rect",
    "jpeg_shape",
    "paste_planes_into",
    "seal_region",
]

MIN_PSNR_DB: Final = 42.0
# Rungs of quality: the first is enough for nearly all faces, the last before lossless for noise.
_JPEG_QUALITIES: Final = (92, 95, 98)
_RAW, _JPEG, _PNG = 0, 1, 2
_PNG_OPTIONS: Final = (
    cv2.IMWRITE_PNG_COMPRESSION,
    1,
    cv2.IMWRITE_PNG_STRATEGY,
    cv2.IMWRITE_PNG_STRATEGY_RLE,
)
_PNG_HEAD: Final = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"


@dataclass(frozen=True, slots=True, eq=False)
class Planes:
    """A region of an I420 frame, with its own memory.

    Attributes:
        y: (H, W) uint8, H and W even.
        u: (H/2, W/2) uint8.
        v: (H/2, W/2) uint8.
    """

    y: UInt8Array
    u: UInt8Array
    v: UInt8Array

    def __post_init__(self) -> None:
        require_array("y", self.y, (None, None), np.uint8)
        height, width = self.y.shape
        if height < 2 or width < 2 or height % 2 or width % 2:
            raise ValueError(f"a sealed region must have even edges, not {width}x{height}")
        require_array("u", self.u, (height // 2, width // 2), np.uint8)
        require_array("v", self.v, (height // 2, width // 2), np.uint8)


def even_rect(
    box_xyxy_px: tuple[float, float, float, float], *, width: int, height: int
) -> tuple[int, int, int, int] | None:
    """Smallest even-aligned region around a box, inside the frame.

    Args:
        box_xyxy_px: corners in frame pixels.
        width: of the frame, even.
        height: of the frame, even.

    Returns:
        x, y, width, height; None if the box lies outside of the frame.
    """
    x1, y1 = (max(0, int(np.floor(edge)) // 2 * 2) for edge in box_xyxy_px[:2])
    x2 = min(width, -(-int(np.ceil(box_xyxy_px[2])) // 2) * 2)
    y2 = min(height, -(-int(np.ceil(box_xyxy_px[3])) // 2) * 2)
    return (x1, y1, x2 - x1, y2 - y1) if x2 > x1 and y2 > y1 else None


def cut_planes(pixels: UInt8Array, *, x: int, y: int, width: int, height: int) -> Planes:
    """Copies a region out of a frame.

    Args:
        pixels: (3H/2, W) uint8 I420.
        x: left edge, even.
        y: top edge, even.
        width: even.
        height: even.

    Raises:
        ValueError: the region is not even or not inside the frame.
    """
    luma, u, v = _views(pixels)
    _check_rect(luma, x, y, width, height)
    rows, columns = slice(y // 2, (y + height) // 2), slice(x // 2, (x + width) // 2)
    return Planes(
        luma[y : y + height, x : x + width].copy(),
        u[rows, columns].copy(),
        v[rows, columns].copy(),
    )


def paste_planes_into(pixels: UInt8Array, planes: Planes, *, x: int, y: int) -> None:
    """Writes a region into a frame: (3H/2, W) uint8 I420, changed in place.

    Raises:
        ValueError: the region is not even or not inside the frame.
    """
    luma, u, v = _views(pixels)
    height, width = planes.y.shape
    _check_rect(luma, x, y, width, height)
    rows, columns = slice(y // 2, (y + height) // 2), slice(x // 2, (x + width) // 2)
    luma[y : y + height, x : x + width] = planes.y
    u[rows, columns] = planes.u
    v[rows, columns] = planes.v


def seal_region(
    pixels: UInt8Array,
    rect: tuple[int, int, int, int],
    *,
    track_id: int,
    pts: int,
    is_lossless: bool = False,
) -> SealedPatch:
    """The record for a region of an original frame.

    Args:
        pixels: (3H/2, W) uint8 I420, not changed.
        rect: x, y, width, height, all even, inside the frame.
        track_id: of the face.
        pts: of the frame.
        is_lossless: keep every bit, at about twice the size and six times the time.
    """
    x, y, width, height = rect
    luma, u, v = _views(pixels)
    _check_rect(luma, x, y, width, height)
    rows, columns = slice(y // 2, (y + height) // 2), slice(x // 2, (x + width) // 2)
    # Straight into the image that is coded: copies of large faces cost as much as encryption.
    stacked = _stacked(luma[y : y + height, x : x + width], u[rows, columns], v[rows, columns])
    payload = _encode(stacked, min_psnr_db=MIN_PSNR_DB, is_lossless=is_lossless)
    return SealedPatch(track_id, pts, x, y, width, height, payload)


def encode_planes(
    planes: Planes, *, min_psnr_db: float = MIN_PSNR_DB, is_lossless: bool = False
) -> bytes:
    """Payload whose decoding is within `min_psnr_db` of every plane, or exact."""
    stacked = _stacked(planes.y, planes.u, planes.v)
    return _encode(stacked, min_psnr_db=min_psnr_db, is_lossless=is_lossless)


def _encode(stacked: UInt8Array, *, min_psnr_db: float, is_lossless: bool) -> bytes:
    if not is_lossless:
        for quality in _JPEG_QUALITIES:
            done, data = cv2.imencode(".jpg", stacked, (cv2.IMWRITE_JPEG_QUALITY, quality))
            if done and _is_close(stacked, _decode_image(data, stacked.shape), min_psnr_db):
                return bytes([_JPEG]) + data.tobytes()
    done, data = cv2.imencode(".png", stacked, _PNG_OPTIONS)
    if done and len(data) < stacked.size:
        return bytes([_PNG]) + data.tobytes()
    return bytes([_RAW]) + stacked.tobytes()


def decode_planes(payload: bytes, *, width: int, height: int) -> Planes:
    """The region that `encode_planes` coded.

    Args:
        payload: of a SealedPatch.
        width: of the region, from the record.
        height: of the region, from the record.

    Raises:
        KeyLogFormatError: the payload is not an image of that size.
    """
    shape = (height * 3 // 2, width)
    coding, data = payload[:1], payload[1:]
    if coding == bytes([_RAW]):
        if len(data) != shape[0] * shape[1]:
            raise KeyLogFormatError("a sealed region's raw pixels have the wrong size")
        return _unstack(np.frombuffer(data, np.uint8).reshape(shape))
    if coding == bytes([_JPEG]):
        found = jpeg_shape(data)
    elif coding == bytes([_PNG]):
        found = _png_shape(data)
    else:
        raise KeyLogFormatError(f"a sealed region has an unknown coding {coding.hex()}")
    if found != shape:  # before decoding: a few bytes may claim a gigapixel
        raise KeyLogFormatError(f"a sealed region of {shape} claims to be {found}")
    return _unstack(_decode_image(np.frombuffer(data, np.uint8), shape))


def _views(pixels: UInt8Array) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    """Y, U and V as views of a (3H/2, W) frame."""
    require_array("pixels", pixels, (None, None), np.uint8)
    rows, width = pixels.shape
    if rows % 3 or width % 2 or not pixels.flags.c_contiguous:
        raise ValueError(f"not a whole I420 frame: {pixels.shape}")
    height = rows * 2 // 3
    flat = pixels.reshape(-1)
    size = height // 2 * (width // 2)
    u = flat[height * width : height * width + size].reshape(height // 2, width // 2)
    v = flat[height * width + size : height * width + 2 * size].reshape(height // 2, width // 2)
    return pixels[:height], u, v


def _check_rect(luma: UInt8Array, x: int, y: int, width: int, height: int) -> None:
    inside = x >= 0 and y >= 0 and x + width <= luma.shape[1] and y + height <= luma.shape[0]
    if not inside or x % 2 or y % 2 or width % 2 or height % 2 or width < 2 or height < 2:
        raise ValueError(f"region {x},{y} {width}x{height} is not even or not inside the frame")


def _stacked(y: UInt8Array, u: UInt8Array, v: UInt8Array) -> UInt8Array:
    """(3H/2, W): Y above, below it U and V side by side (so that rows stay neighbours)."""
    height, width = y.shape
    stacked = np.empty((height * 3 // 2, width), np.uint8)
    for place, plane in zip(_planes_of(stacked), (y, u, v), strict=True):
        place[:] = plane
    return stacked


def _planes_of(stacked: UInt8Array) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    """Views of Y, U and V in a stacked image."""
    height, width = stacked.shape[0] * 2 // 3, stacked.shape[1]
    below = stacked[height:]
    return stacked[:height], below[:, : width // 2], below[:, width // 2 :]


def _unstack(stacked: UInt8Array) -> Planes:
    y, u, v = _planes_of(stacked)
    return Planes(y.copy(), u.copy(), v.copy())


def _decode_image(data: UInt8Array, shape: tuple[int, ...]) -> UInt8Array:
    try:
        image = cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)
    except cv2.error:
        image = None
    if image is None or image.shape != shape or image.dtype != np.uint8:
        raise KeyLogFormatError("a sealed region's image cannot be decoded")
    decoded: UInt8Array = image
    return decoded


def _is_close(original: UInt8Array, decoded: UInt8Array, min_psnr_db: float) -> bool:
    limit = 255.0**2 / 10.0 ** (min_psnr_db / 10.0)
    return all(
        cv2.norm(have, want, cv2.NORM_L2SQR) <= limit * want.size
        for have, want in zip(_planes_of(decoded), _planes_of(original), strict=True)
    )


def _png_shape(data: bytes) -> tuple[int, int] | None:
    if not data.startswith(_PNG_HEAD) or len(data) < 24:
        return None
    width, height = struct.unpack(">II", data[16:24])
    return height, width


def jpeg_shape(data: bytes) -> tuple[int, int] | None:
    """Height and width that a JPEG's first frame header claims; None: there is none."""
    at = 2
    while data[:2] == b"\xff\xd8" and at + 9 <= len(data) and data[at] == 0xFF:
        marker, size = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            return height, width
        at += 2 + max(size, 2)
    return None
