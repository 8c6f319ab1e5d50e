"""What video does to aligned crops: H.264, shifts, small sizes, little light, masks."""

from __future__ import annotations

import io
from typing import Any, Final

import av
import cv2
import numpy as np

from engines.arrays import UInt8Array

__all__ = ["darkened", "h264", "masked", "resized", "shifted"]

_COLUMNS: Final = 5
_ROWS: Final = 4
_HELD_FRAMES: Final = 3
# A detector's box of a face that fills the 112 px template is about this high.
_FACE_PX: Final = 100


def h264(crops: UInt8Array, *, crf: int = 28, codec: str = "libx264") -> UInt8Array:
    """The crops after libx264, or libx265 (veryfast, 4:2:0).

    Twenty crops tile a picture; every picture is shown for three frames, each moved by a pixel, and
    the crops are cut from the third, which is predicted from the others as in a stream.

    Args:
        crops: (N, S, S, 3) uint8 RGB, S even.
        crf: the encoder's constant rate factor; 28 is a low-rate camera with libx264.
        codec: FFmpeg's name of the encoder.

    Returns:
        (N, S, S, 3) uint8 RGB.
    """
    size = crops.shape[1]
    pages = [crops[i : i + _COLUMNS * _ROWS] for i in range(0, len(crops), _COLUMNS * _ROWS)]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as output:
        options = {"crf": str(crf), "preset": "veryfast"}
        if codec == "libx265":
            options["x265-params"] = "log-level=none"
        stream: Any = output.add_stream(codec, rate=25, options=options)
        stream.width, stream.height, stream.pix_fmt = _COLUMNS * size + 4, _ROWS * size, "yuv420p"
        for page in pages:
            canvas = _tiled(page, size)
            for move in range(_HELD_FRAMES):
                # The last of the three stands at x = 2, where chroma samples match the crop's.
                picture = np.roll(canvas, move - _HELD_FRAMES + 1, axis=1)
                frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
                output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    buffer.seek(0)
    out = np.empty_like(crops)
    with av.open(buffer, "r") as source:
        for index, decoded in enumerate(source.decode(video=0)):
            number, held = divmod(index, _HELD_FRAMES)
            if held == _HELD_FRAMES - 1:
                picture = np.asarray(decoded.to_ndarray(format="rgb24"), np.uint8)
                _cut_into(out[number * _COLUMNS * _ROWS :], picture, size)
    return out


def _tiled(page: UInt8Array, size: int) -> UInt8Array:
    canvas = np.full((_ROWS * size, _COLUMNS * size + 4, 3), 128, np.uint8)
    for i, crop in enumerate(page):
        row, col = divmod(i, _COLUMNS)
        canvas[row * size : (row + 1) * size, 2 + col * size : 2 + (col + 1) * size] = crop
    return canvas


def _cut_into(out: UInt8Array, picture: UInt8Array, size: int) -> None:
    for i in range(min(len(out), _COLUMNS * _ROWS)):
        row, col = divmod(i, _COLUMNS)
        out[i] = picture[row * size : (row + 1) * size, 2 + col * size : 2 + (col + 1) * size]


def shifted(canvases: UInt8Array, *, right_px: int, down_px: int) -> UInt8Array:
    """Recogniser crops from canvases with a margin, with the face moved by whole pixels.

    Args:
        canvases: (N, S, S, 3) uint8 RGB, the 112 px crop in their centre.
        right_px: how far the face moves to the right.
        down_px: how far it moves down.

    Returns:
        (N, 112, 112, 3) uint8 RGB.
    """
    edge = (canvases.shape[1] - 112) // 2
    top, left = edge - down_px, edge - right_px
    return np.ascontiguousarray(canvases[:, top : top + 112, left : left + 112])


def resized(crops: UInt8Array, *, face_px: int) -> UInt8Array:
    """The crops as if the face had been `face_px` high in its frame."""
    n = max(4, round(crops.shape[1] * face_px / _FACE_PX))
    out = np.empty_like(crops)
    for i, crop in enumerate(crops):
        small = cv2.resize(crop, (n, n), interpolation=cv2.INTER_AREA)
        out[i] = cv2.resize(small, crop.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    return out


def darkened(crops: UInt8Array) -> UInt8Array:
    """A fifth of the light, with sensor noise of 3 grey levels."""
    noise = np.random.default_rng(0).normal(0, 3, crops.shape[1:])
    return np.clip(crops * 0.2 + noise, 0, 255).astype(np.uint8)


def masked(crops: UInt8Array) -> UInt8Array:
    """A light blue mask painted from the nose tip down."""
    out = crops.copy()
    size = crops.shape[1]
    polygon = (
        np.array([[14, 66], [56, 60], [98, 66], [92, 104], [56, 112], [20, 104]]) * size // 112
    )
    for crop in out:
        cv2.fillPoly(crop, [polygon.astype(np.int32)], (170, 200, 225))
    return out
