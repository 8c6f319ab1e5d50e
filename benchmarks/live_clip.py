"""A clip for live tests: people who come and go, and in each picture the number of its frame."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.clips import FaceFinder
from benchmarks.portraits_video import portrait_frames
from benchmarks.source_faces import FACE_SCORE, MIN_FACE_PX, longer_side
from benchmarks.video_io import decode, write_video
from engines.arrays import Float32Array, UInt8Array

__all__ = [
    "CodedClip",
    "SourceFace",
    "read_code",
    "resized",
    "write_coded_clip",
    "write_resized_clip",
]

_BITS: Final = 16
_CHECK_BITS: Final = 4
_CELL_PX: Final = 12
# Between black and white: what lies in the middle third is not readable.
_DARK: Final = 90
_BRIGHT: Final = 160
# Nobody is there in these frames of every ten seconds, so that people also appear.
_PERIOD: Final = 250
_AWAY: Final = range(200, 230)


def _check(number: int) -> int:
    return (number ^ number >> 4 ^ number >> 8 ^ number >> 12 ^ 0b1010) & 0b1111


def _code_into(canvas: UInt8Array, number: int) -> None:
    """Draw a number as bright and dark squares in the lower left corner."""
    bits = number << _CHECK_BITS | _check(number)
    top = canvas.shape[0] - 2 * _CELL_PX
    for place in range(_BITS + _CHECK_BITS):
        left = (place + 1) * _CELL_PX
        canvas[top : top + _CELL_PX, left : left + _CELL_PX] = 235 if bits >> place & 1 else 16


def read_code(bgr: UInt8Array) -> int | None:
    """The number in a picture of `write_coded_clip`; None where it cannot be read.

    Args:
        bgr: (H, W, 3) uint8 as the camera gave it, not scaled.
    """
    top, bits, inner = bgr.shape[0] - 2 * _CELL_PX, 0, slice(3, _CELL_PX - 3)
    if top < 0 or bgr.shape[1] < (_BITS + _CHECK_BITS + 1) * _CELL_PX:
        return None  # a picture that was scaled down has no room for it
    for place in range(_BITS + _CHECK_BITS):
        left = (place + 1) * _CELL_PX
        cell = bgr[top : top + _CELL_PX, left : left + _CELL_PX]
        level = float(cell[inner, inner].mean())
        if _DARK < level < _BRIGHT:
            return None
        bits |= int(level >= _BRIGHT) << place
    number = bits >> _CHECK_BITS
    return number if bits & 0b1111 == _check(number) else None


def _frames(count: int, faces: int, size_hw: tuple[int, int], card_px: int) -> Iterator[UInt8Array]:
    people = portrait_frames(count, faces, size_hw=size_hw, card_px=card_px)
    nobody = next(portrait_frames(1, 0, size_hw=size_hw))
    for number, canvas in enumerate(people):
        shown = nobody.copy() if number % _PERIOD in _AWAY else canvas
        _code_into(shown, number)
        yield shown


def write_coded_clip(
    path: Path,
    count: int,
    *,
    faces: int = 1,
    size_hw: tuple[int, int] = (360, 640),
    rate_hz: int = 25,
) -> Path:
    """Write the clip as H.264 with a key frame each second.

    Args:
        path: where to.
        count: number of frames.
        faces: people in it.
        size_hw: size of a frame.
        rate_hz: frames a second.
    """
    card_px = size_hw[0] * 5 // 9
    return _encoded(path, _frames(count, faces, size_hw, card_px), rate_hz)


def write_resized_clip(path: Path, clip: Path, size_hw: tuple[int, int], *, rate_hz: int) -> Path:
    """Write a coded clip once more at another size, so that its faces can be judged by the first.

    Args:
        path: where to.
        clip: written by `write_coded_clip`.
        size_hw: size of a frame.
        rate_hz: frames a second.
    """

    def frames() -> Iterator[UInt8Array]:
        for number, frame in enumerate(decode(clip)):
            canvas = resized(frame.bgr, size_hw).copy()
            _code_into(canvas, number)
            yield canvas

    return _encoded(path, frames(), rate_hz)


def _encoded(path: Path, frames: Iterator[UInt8Array], rate_hz: int) -> Path:
    options = {"preset": "ultrafast", "crf": "20", "g": str(rate_hz), "bf": "0"}
    write_video(path, frames, rate_hz=rate_hz, options=options)
    return path


@dataclass(frozen=True, slots=True, eq=False)
class SourceFace:
    """A face as the camera saw it.

    Attributes:
        box_xyxy_px: (4,) its box in the frame.
        origin_xy_px: upper left corner of `around` in the frame.
        around: (H, W, 3) uint8 BGR, the box and a margin.
    """

    box_xyxy_px: Float32Array
    origin_xy_px: tuple[int, int]
    around: UInt8Array


class CodedClip:
    """What must not be seen in any output of a clip.

    Args:
        path: written by `write_coded_clip`.
        find: the judge that says where faces are.
        every: the judge looks at every so manieth frame. People move by half a pixel a frame, so
            its boxes are good for the frames in between as well, which have their own pixels.
    """

    def __init__(self, path: Path, find: FaceFinder, *, every: int = 10) -> None:
        self.path = path
        self.faces: dict[int, list[SourceFace]] = {}
        self.frame_count = 0
        boxes: list[Float32Array] = []
        for number, frame in enumerate(decode(path)):
            self.frame_count += 1
            self.size_hw = frame.bgr.shape[:2]
            if number % _PERIOD in _AWAY:
                continue
            if number % every == 0 or number % _PERIOD == _AWAY.stop:
                boxes = _boxes_in(frame.bgr, find)
            self.faces[number] = list(_cut(frame.bgr, boxes))


def _boxes_in(bgr: UInt8Array, find: FaceFinder) -> list[Float32Array]:
    boxes, _, scores = find(bgr)
    pairs = zip(boxes, scores, strict=True)
    return [box for box, score in pairs if score >= FACE_SCORE and longer_side(box) >= MIN_FACE_PX]


def _cut(bgr: UInt8Array, boxes: list[Float32Array]) -> Iterator[SourceFace]:
    height, width = bgr.shape[:2]
    for box in boxes:
        left, top = (max(0, int(value) - 2) for value in box[:2])
        right, bottom = min(width, int(box[2]) + 3), min(height, int(box[3]) + 3)
        around = np.ascontiguousarray(bgr[top:bottom, left:right])
        yield SourceFace(box, (left, top), around)


def resized(bgr: UInt8Array, size_hw: tuple[int, int]) -> UInt8Array:
    """A picture at another size, for outputs that were scaled."""
    if bgr.shape[:2] == size_hw:
        return bgr
    shrinks = size_hw[0] < bgr.shape[0]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(bgr, size_hw[::-1], interpolation=how), np.uint8)
