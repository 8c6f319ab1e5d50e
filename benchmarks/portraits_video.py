"""Synthetic footage of any length, size and number of faces, from the portraits that ship."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.clips import BenchmarkError
from benchmarks.command_line import REPOSITORY
from benchmarks.video_io import write_video
from engines.arrays import UInt8Array

__all__ = ["MAX_FACES", "portrait_frames", "portraits", "write_portraits"]

MAX_FACES: Final = 8
_FOLDER: Final = REPOSITORY / "streamer" / "sample"
_RATE_HZ: Final = 25


def portraits() -> list[UInt8Array]:
    """The portraits of generated people, (512, 512, 3) uint8 BGR each.

    Raises:
        BenchmarkError: there are none.
    """
    pictures = [cv2.imread(str(path), cv2.IMREAD_COLOR) for path in sorted(_FOLDER.glob("*.jpg"))]
    if not pictures or any(picture is None for picture in pictures):
        raise BenchmarkError(f"no portraits in {_FOLDER}")
    return [np.asarray(picture, np.uint8) for picture in pictures if picture is not None]


def _background(size_hw: tuple[int, int]) -> UInt8Array:
    height, width = size_hw
    ramp = np.linspace(60, 140, height)[:, None] + 10 * np.sin(np.arange(width) / 41.0)[None, :]
    grain = np.random.default_rng(7).normal(0, 3, (height, width))
    plane = np.clip(ramp + grain, 0, 255).astype(np.uint8)
    return np.dstack([plane, plane // 2 + 50, plane // 3 + 80])


def portrait_frames(
    count: int, faces: int, *, size_hw: tuple[int, int] = (720, 1280), card_px: int = 300
) -> Iterator[UInt8Array]:
    """Frames with people who sway and tilt, each in a cell of a grid.

    Args:
        count: number of frames.
        faces: number of people, 0 to `MAX_FACES`.
        size_hw: size of a frame.
        card_px: side of a portrait; a face is about half of it.

    Yields:
        (H, W, 3) uint8 BGR.
    """
    pictures = [
        cv2.resize(picture, (card_px, card_px), interpolation=cv2.INTER_AREA)
        for picture in portraits()[:faces]
    ]
    height, width = size_hw
    columns = max(1, min(4, faces))
    rows = max(1, -(-faces // columns))
    background = _background(size_hw)
    for index in range(count):
        canvas = background.copy()
        for number, picture in enumerate(pictures):
            turn = 2 * np.pi * (0.2 + 0.03 * number) * index / _RATE_HZ + number
            matrix = cv2.getRotationMatrix2D((card_px / 2, card_px / 2), 6 * np.sin(turn), 1.0)
            matrix[0, 2] += (number % columns + 0.5) * width / columns - card_px / 2
            matrix[1, 2] += (number // columns + 0.5) * height / rows - card_px / 2
            matrix[:, 2] += 9 * np.sin(turn * 1.3), 7 * np.sin(turn * 1.7)
            cv2.warpAffine(
                picture, matrix, (width, height), dst=canvas, borderMode=cv2.BORDER_TRANSPARENT
            )
        yield canvas


def write_portraits(
    path: Path,
    count: int,
    faces: int,
    *,
    size_hw: tuple[int, int] = (720, 1280),
    card_px: int = 300,
) -> Path:
    """Write such frames as H.264."""
    frames = portrait_frames(count, faces, size_hw=size_hw, card_px=card_px)
    write_video(path, frames, rate_hz=_RATE_HZ, options={"preset": "ultrafast", "crf": "23"})
    return path
