"""Colour: regions of I420 frames to RGB crops and back, honouring matrix and range."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final

import cv2
import numpy as np

from engines.arrays import Float32Array, Float64Array, UInt8Array, require_array
from streamer.frames import ColorSpec

__all__ = ["crop_rgb", "paste_rgb_into", "planes_of"]

# Kr and Kb of each matrix of ISO/IEC 23091-2.
_BT601: Final = (0.299, 0.114)
_BT709: Final = (0.2126, 0.0722)
_WEIGHTS: Final = {
    1: _BT709,
    4: (0.30, 0.11),
    5: _BT601,
    6: _BT601,
    7: (0.212, 0.087),
    9: (0.2627, 0.0593),
    10: (0.2627, 0.0593),
}
# Players read pictures without a matrix as BT.601 up to this height and as BT.709 above.
_TALLEST_SD_PX: Final = 576
_SAMPLE: Final = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP


def planes_of(pixels: UInt8Array) -> tuple[UInt8Array, UInt8Array, UInt8Array]:
    """Views of the Y, U and V planes of a (3H/2, W) uint8 I420 picture in one piece of memory."""
    height, width = pixels.shape[0] * 2 // 3, pixels.shape[1]
    chroma = pixels[height:].reshape(2, height // 2, width // 2)
    return pixels[:height], chroma[0], chroma[1]


def crop_rgb(
    pixels: UInt8Array, color: ColorSpec, frame_from_crop: Float64Array, size: int
) -> UInt8Array:
    """Cut an aligned crop out of a frame; outside the frame its edge is repeated.

    Args:
        pixels: (3H/2, W) uint8 I420.
        color: how to read the planes.
        frame_from_crop: (2, 3) float64, maps pixels of the crop to pixels of the frame.
        size: side S of the crop in pixels.

    Returns:
        (S, S, 3) uint8 RGB.
    """
    require_array("frame_from_crop", frame_from_crop, (2, 3), np.float64)
    luma, *chroma = planes_of(pixels)
    # A chroma sample stands for two pixels of the frame either way.
    chroma_from_crop = frame_from_crop * 0.5
    chroma_from_crop[:, 2] += _chroma_shift(color)
    layers = [
        *_sampled([luma], frame_from_crop, (size, size)),
        *_sampled(chroma, chroma_from_crop, (size, size)),
    ]
    rgb_from_yuv = _matrices(color.matrix, color.full_range, len(luma) > _TALLEST_SD_PX)[0]
    rgb: UInt8Array = cv2.transform(cv2.merge(layers), rgb_from_yuv)
    return rgb


def paste_rgb_into(
    canvas: UInt8Array,
    color: ColorSpec,
    face_rgb: UInt8Array,
    mask: Float32Array,
    frame_from_crop: Float64Array,
) -> tuple[int, int, int, int]:
    """Blend a crop into a frame, in its own colours, touching nothing but the crop's rectangle.

    Args:
        canvas: (3H/2, W) uint8 I420, written to.
        color: how to read its planes.
        face_rgb: (S, S, 3) uint8 RGB.
        mask: (S, S) float32 in [0, 1], share of the crop in the result.
        frame_from_crop: (2, 3) float64, maps pixels of the crop to pixels of the frame.

    Returns:
        x, y, width, height in pixels of the rectangle that holds every changed pixel, all even;
        width and height are 0 when the crop lies outside the frame.
    """
    require_array("face_rgb", face_rgb, (None, None, 3), np.uint8)
    require_array("mask", mask, face_rgb.shape[:2], np.float32)
    require_array("frame_from_crop", frame_from_crop, (2, 3), np.float64)
    planes = planes_of(canvas)
    x, y, width, height = rect = _masked_rect(mask, frame_from_crop, planes[0].shape)
    if not width or not height:
        return rect
    yuv_from_rgb = _matrices(color.matrix, color.full_range, len(planes[0]) > _TALLEST_SD_PX)[1]
    luma, *chroma = cv2.split(cv2.transform(face_rgb, yuv_from_rgb))
    share = _share(mask)
    crop_from_frame = np.asarray(cv2.invertAffineTransform(frame_from_crop), np.float64)
    x_shift, y_shift = _chroma_shift(color)
    crop_from_chroma = _at(crop_from_frame, -2 * x_shift, -2 * y_shift)
    crop_from_chroma[:, :2] *= 2
    region = planes[0][y : y + height, x : x + width]
    _blend_into((region,), [luma], share, _at(crop_from_frame, x, y))
    half = slice(y // 2, (y + height) // 2), slice(x // 2, (x + width) // 2)
    regions = planes[1][half], planes[2][half]
    _blend_into(regions, chroma, share, _at(crop_from_chroma, x // 2, y // 2))
    return rect


def _share(mask: Float32Array) -> UInt8Array:
    """The mask in 1/255, with a border of zeros, so that repeating its edge adds nothing."""
    share: UInt8Array = cv2.convertScaleAbs(mask, alpha=255.0)
    share[0] = share[-1] = share[:, 0] = share[:, -1] = 0
    return share


def _blend_into(
    regions: tuple[UInt8Array, ...],
    faces: list[UInt8Array],
    share: UInt8Array,
    crop_from_region: Float64Array,
) -> None:
    """Blend planes of a face into as many regions of the same size.

    All go through one warp of four channels: OpenCV does four in the time of one (0.2 ms for
    300x350), but two or three take twice as long.
    """
    height, width = regions[0].shape
    padding = [share] * (3 - len(faces))
    layers = cv2.merge([*faces, share, *padding])
    warped = cv2.split(_sampled([layers], crop_from_region, (width, height))[0])
    new_share = warped[len(faces)]
    old_share = cv2.bitwise_not(new_share)
    for region, face in zip(regions, warped, strict=False):
        # Exact where the share is 0 or 255; between them rounding is off by one at most.
        new = cv2.multiply(face, new_share, scale=1 / 255)
        region[:] = cv2.add(new, cv2.multiply(region, old_share, scale=1 / 255))


def _sampled(
    planes: list[UInt8Array], plane_from_target: Float64Array, size_wh: tuple[int, int]
) -> list[UInt8Array]:
    """Resample planes of one size; shrinks by averaging first, so that fine detail is steady."""
    # Plain numbers: NumPy takes microseconds for each step of such small sums, for every face.
    (a, b, _), (c, d, _) = plane_from_target.tolist()
    factor = int(math.sqrt(abs(a * d - b * c)) + 0.25)
    if factor >= 2:
        planes, plane_from_target = _shrunk(planes, plane_from_target, size_wh, factor)
    return [
        cv2.warpAffine(
            plane, plane_from_target, size_wh, flags=_SAMPLE, borderMode=cv2.BORDER_REPLICATE
        )
        for plane in planes
    ]


def _shrunk(
    planes: list[UInt8Array],
    plane_from_target: Float64Array,
    size_wh: tuple[int, int],
    factor: int,
) -> tuple[list[UInt8Array], Float64Array]:
    """The part of the planes that the target shows, reduced, and the map that fits it."""
    x1, y1, x2, y2 = _bounds(plane_from_target, (0, 0, size_wh[0] - 1, size_wh[1] - 1))
    rows, columns = planes[0].shape[:2]
    left = _within(math.floor(x1) - factor, 0, columns - 1)
    top = _within(math.floor(y1) - factor, 0, rows - 1)
    right = _within(math.ceil(x2) + factor + 1, left + 1, columns)
    bottom = _within(math.ceil(y2) + factor + 1, top + 1, rows)
    width, height = right - left, bottom - top
    small_wh = max(1, width // factor), max(1, height // factor)
    small = [
        cv2.resize(plane[top:bottom, left:right], small_wh, interpolation=cv2.INTER_AREA)
        for plane in planes
    ]
    # Centres of pixels: small = (big + 0.5) * ratio - 0.5.
    moved = plane_from_target.copy()
    for row, start, ratio in ((0, left, small_wh[0] / width), (1, top, small_wh[1] / height)):
        moved[row, 2] += 0.5 - start
        moved[row] *= ratio
        moved[row, 2] -= 0.5
    return small, moved


def _within(value: int, least: int, most: int) -> int:
    return max(least, min(value, most))


def _masked_rect(
    mask: Float32Array, frame_from_crop: Float64Array, size_hw: tuple[int, ...]
) -> tuple[int, int, int, int]:
    """The even rectangle of the frame that holds all of the mask that is not zero."""
    x, y, width, height = cv2.boundingRect((mask > 0).astype(np.uint8))
    if not width or not np.isfinite(frame_from_crop).all():
        return 0, 0, 0, 0
    # One pixel more: interpolation spreads the border of the mask that far.
    x1, y1, x2, y2 = _bounds(frame_from_crop, (x - 1, y - 1, x + width, y + height))
    # Two more in the frame, since a chroma sample stands for two pixels.
    rows, columns = size_hw[:2]
    left = _within(math.floor(x1 - 2), 0, columns) // 2 * 2
    top = _within(math.floor(y1 - 2), 0, rows) // 2 * 2
    right = -(-_within(math.ceil(x2 + 3), 0, columns) // 2) * 2
    bottom = -(-_within(math.ceil(y2 + 3), 0, rows) // 2) * 2
    return left, top, max(0, right - left), max(0, bottom - top)


def _bounds(
    target_from_source: Float64Array, box_xyxy: tuple[float, float, float, float]
) -> tuple[float, float, float, float]:
    """The box around where the corners of another box go."""
    x1, y1, x2, y2 = box_xyxy
    ends = [
        (along * x1, along * x2, across * y1, across * y2, shift)
        for along, across, shift in target_from_source.tolist()
    ]
    low = [min(a, b) + min(c, d) + shift for a, b, c, d, shift in ends]
    high = [max(a, b) + max(c, d) + shift for a, b, c, d, shift in ends]
    return low[0], low[1], high[0], high[1]


def _at(target_from_plane: Float64Array, x: float, y: float) -> Float64Array:
    """The map for a region of the plane that starts at x, y."""
    placed = target_from_plane.copy()
    placed[:, 2] += placed[:, 0] * x + placed[:, 1] * y
    return placed


def _chroma_shift(color: ColorSpec) -> tuple[float, float]:
    """What is added to x and y, halved from the frame's, to get those of a chroma plane."""
    # MPEG puts a chroma sample on the left one of its two columns, JPEG (full range) in the middle.
    return (-0.25 if color.full_range else 0.0), -0.25


@lru_cache(maxsize=32)
def _matrices(matrix: int, full_range: bool, is_hd: bool) -> tuple[Float64Array, Float64Array]:
    """(3, 4) maps of 0..255 values: RGB from YUV, and YUV from RGB."""
    red, blue = _WEIGHTS.get(matrix, _BT709 if is_hd else _BT601)
    green = 1.0 - red - blue
    luma = np.array([red, green, blue])
    u = (np.array([0.0, 0.0, 1.0]) - luma) / (2 * (1 - blue))
    v = (np.array([1.0, 0.0, 0.0]) - luma) / (2 * (1 - red))
    scales = (1.0, 1.0) if full_range else (219 / 255, 224 / 255)
    linear = np.stack([luma * scales[0], u * scales[1], v * scales[1]])
    offset = np.array([0.0 if full_range else 16.0, 128.0, 128.0])
    inverse = np.linalg.inv(linear)
    yuv_from_rgb = np.column_stack([linear, offset])
    rgb_from_yuv = np.column_stack([inverse, -inverse @ offset])
    return rgb_from_yuv, yuv_from_rgb
