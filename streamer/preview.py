"""Previews: an anonymised frame as a small JPEG picture."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from streamer.blender import AnonymizedFrame
from streamer.color import planes_of

__all__ = ["preview_jpeg"]

_QUALITY: Final = 75
_LEAST_SIDE_PX: Final = 32


def preview_jpeg(frame: AnonymizedFrame, *, long_side_px: int = 640) -> bytes:
    """Encode a frame, made smaller if it is longer than wanted.

    The planes are scaled before they are converted, which is what makes this cheap.

    Args:
        frame: the frame; no other type is accepted.
        long_side_px: longest side of the picture in pixels.

    Raises:
        TypeError: it is no anonymised frame.
    """
    if not isinstance(frame, AnonymizedFrame):
        raise TypeError(f"only AnonymizedFrame may be shown, got {type(frame).__name__}")
    height, width = frame.pixels.shape[0] * 2 // 3, frame.pixels.shape[1]
    ratio = min(1.0, max(long_side_px, _LEAST_SIDE_PX) / max(height, width))
    height, width = (max(2, round(side * ratio / 2) * 2) for side in (height, width))
    small = np.empty((height * 3 // 2, width), np.uint8)
    for plane, target in zip(planes_of(frame.pixels), planes_of(small), strict=True):
        size = (target.shape[1], target.shape[0])
        target[:] = cv2.resize(plane, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(small, cv2.COLOR_YUV2BGR_I420)
    _, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    return bytes(data)
