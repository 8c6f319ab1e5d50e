"""Whether a face was left as it was: comparing its pixels and who it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from engines.arrays import Float32Array, UInt8Array

__all__ = [
    "UNTOUCHED_CORRELATION",
    "UNTOUCHED_DIFFERENCE",
    "WEAK_CORRELATION",
    "FaceChange",
    "altered_ratio",
    "compare_face",
    "inner_box",
    "overlap_ratio",
    "psnr_db",
]

UNTOUCHED_CORRELATION: Final = 0.90
# Mean grey levels. Re-encoding four development clips (x264 ultrafast CRF 28; MPEG-4, quantiser 6)
# changes their 1,036 faces by 2.9 to 3.4 in the median and 4.4 at most.
UNTOUCHED_DIFFERENCE: Final = 5.0
WEAK_CORRELATION: Final = 0.80
_WEAK_CELLS: Final = 40
# The part of a detector's box that is eyes, nose and mouth: hair, neck and background say nothing.
_INNER_WIDTH: Final = 0.76
_INNER_HEIGHT: Final = 0.80
# False covers: cells of this side that differ by more grey levels were changed, not re-encoded.
_CELL_PX: Final = 8
_CELL_DIFFERENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class FaceChange:
    """How a face differs from the one that was in its place.

    Attributes:
        correlation: of grey values in the inner ellipse, 0 where one side is flat.
        difference: mean absolute grey difference there.
        coarse_correlation: correlation when the face is brought to 40 x 40 cells.
    """

    correlation: float
    difference: float
    coarse_correlation: float

    @property
    def is_untouched(self) -> bool:
        """Whether this is the same face, re-encoded at most."""
        return self.correlation >= UNTOUCHED_CORRELATION and self.difference <= UNTOUCHED_DIFFERENCE

    @property
    def is_weak(self) -> bool:
        """Whether it was altered, but coarse structure is still that of the original."""
        return not self.is_untouched and self.coarse_correlation >= WEAK_CORRELATION


def inner_box(box_xyxy_px: Float32Array, size_hw: tuple[int, int]) -> tuple[int, int, int, int]:
    """The middle of a face box, cut to the frame: x1, y1, x2, y2; empty when outside."""
    x1, y1, x2, y2 = (float(value) for value in box_xyxy_px)
    centre_x, centre_y = (x1 + x2) / 2, (y1 + y2) / 2
    half_w, half_h = (x2 - x1) / 2 * _INNER_WIDTH, (y2 - y1) / 2 * _INNER_HEIGHT
    height, width = size_hw
    left, right = (int(np.clip(round(v), 0, width)) for v in (centre_x - half_w, centre_x + half_w))
    top, bottom = (
        int(np.clip(round(v), 0, height)) for v in (centre_y - half_h, centre_y + half_h)
    )
    return left, top, right, bottom


def _ellipse(height: int, width: int) -> Float32Array:
    ys = (np.arange(height, dtype=np.float32) + 0.5) / height * 2 - 1
    xs = (np.arange(width, dtype=np.float32) + 0.5) / width * 2 - 1
    return np.asarray(ys[:, None] ** 2 + xs[None, :] ** 2 <= 1, np.float32)


def _correlation(a: Float32Array, b: Float32Array, mask: Float32Array) -> float:
    inside = mask > 0
    x, y = a[inside].astype(np.float64), b[inside].astype(np.float64)
    if len(x) < 2:
        return 0.0
    x, y = x - x.mean(), y - y.mean()
    norm = float(np.sqrt((x * x).sum() * (y * y).sum()))
    return float((x * y).sum()) / norm if norm > 1e-6 else 0.0


def compare_face(
    source_bgr: UInt8Array, output_bgr: UInt8Array, box_xyxy_px: Float32Array
) -> FaceChange | None:
    """Compare the inner ellipse of a face in two frames.

    Returns:
        The change, or None when the inner face lies outside the frame.
    """
    left, top, right, bottom = inner_box(box_xyxy_px, source_bgr.shape[:2])
    if right - left < 4 or bottom - top < 4:
        return None
    a, b = (
        cv2.cvtColor(frame[top:bottom, left:right], cv2.COLOR_BGR2GRAY).astype(np.float32)
        for frame in (source_bgr, output_bgr)
    )
    mask = _ellipse(*a.shape)
    cells = (_WEAK_CELLS, _WEAK_CELLS)
    coarse = [cv2.resize(x, cells, interpolation=cv2.INTER_AREA) for x in (a, b)]
    return FaceChange(
        correlation=_correlation(a, b, mask),
        difference=float((np.abs(a - b) * mask).sum() / mask.sum()),
        coarse_correlation=_correlation(coarse[0], coarse[1], _ellipse(*cells)),
    )


def altered_ratio(
    source_bgr: UInt8Array,
    output_bgr: UInt8Array,
    boxes_xyxy_px: Float32Array,
    *,
    margin_ratio: float = 0.7,
) -> float:
    """Share of the frame that was changed although no face is near.

    Args:
        source_bgr: (H, W, 3) uint8.
        output_bgr: the same size.
        boxes_xyxy_px: (N, 4) places that may be changed.
        margin_ratio: how far around a box changes are fair, as a share of its size: a replaced
            face includes forehead and chin, a covered one the head.
    """
    height, width = source_bgr.shape[:2]
    size = (max(1, width // _CELL_PX), max(1, height // _CELL_PX))
    a, b = (
        cv2.resize(cv2.cvtColor(x, cv2.COLOR_BGR2GRAY), size, interpolation=cv2.INTER_AREA)
        for x in (source_bgr, output_bgr)
    )
    changed = np.abs(a.astype(np.int16) - b.astype(np.int16)) > _CELL_DIFFERENCE
    for x1, y1, x2, y2 in np.asarray(boxes_xyxy_px, np.float64).reshape(-1, 4):
        dx, dy = (x2 - x1) * margin_ratio, (y2 - y1) * margin_ratio
        columns = slice(max(0, int((x1 - dx) // _CELL_PX)), max(0, int((x2 + dx) // _CELL_PX) + 1))
        rows = slice(max(0, int((y1 - dy) // _CELL_PX)), max(0, int((y2 + dy) // _CELL_PX) + 1))
        changed[rows, columns] = False
    return float(changed.mean())


def overlap_ratio(box: Float32Array, others: Float32Array) -> float:
    """Greatest intersection over union of a box with others (N, 4), 0 when there are none."""
    if not len(others):
        return 0.0
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.clip(high - low, 0, None).prod(1)
    areas = np.clip(others[:, 2:] - others[:, :2], 0, None).prod(1)
    own = float(np.clip(box[2:] - box[:2], 0, None).prod())
    return float((shared / np.maximum(areas + own - shared, 1e-9)).max())


def psnr_db(a: UInt8Array, b: UInt8Array) -> float:
    """Peak signal-to-noise ratio of two pictures of one size, at most 99 dB."""
    error = float(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2))
    return 99.0 if error < 1e-9 else min(99.0, 10 * float(np.log10(255.0**2 / error)))
