"""Contact sheets of single faces, for looking at what a figure hides."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from benchmarks.clips import BenchmarkError
from benchmarks.command_line import REPOSITORY
from benchmarks.exposure_measure import JudgedFace
from benchmarks.video_io import paired_frames
from engines.arrays import UInt8Array

__all__ = ["require_outside_repository", "write_sheet"]

_TILE_PX: Final = 128
_COLUMNS: Final = 6


def require_outside_repository(folder: Path) -> None:
    """Refuse to put pictures of real people beside code that is published.

    Raises:
        BenchmarkError: the folder lies in the repository.
    """
    if folder.resolve().is_relative_to(REPOSITORY):
        raise BenchmarkError(f"{folder} lies in the repository; real faces must not be kept there")


def _tile(frame: UInt8Array, box: tuple[float, float, float, float]) -> UInt8Array:
    x1, y1, x2, y2 = box
    half = max(x2 - x1, y2 - y1) * 0.8
    centre = ((x1 + x2) / 2, (y1 + y2) / 2)
    scale = _TILE_PX / (2 * half)
    matrix = np.array(
        [[scale, 0, (half - centre[0]) * scale], [0, scale, (half - centre[1]) * scale]]
    )
    return np.asarray(cv2.warpAffine(frame, matrix, (_TILE_PX, _TILE_PX), flags=cv2.INTER_AREA))


def write_sheet(path: Path, source: Path, output: Path, faces: Sequence[JudgedFace]) -> None:
    """Draw faces before and after, side by side, with frame number and correlation."""
    wanted: dict[int, list[JudgedFace]] = {}
    for face in faces:
        wanted.setdefault(face.frame, []).append(face)
    tiles: list[UInt8Array] = []
    for index, before, after in paired_frames(source, output):
        for face in wanted.get(index, []):
            pair = np.hstack([_tile(x, face.box_xyxy_px) for x in (before, after)])
            text = f"{face.frame} c{face.change.correlation:.2f} d{face.change.difference:.0f}"
            cv2.putText(pair, text, (3, 12), cv2.FONT_HERSHEY_SIMPLEX, 0.4, (0, 255, 255), 1)
            tiles.append(pair)
    if not tiles:
        return
    while len(tiles) % _COLUMNS:
        tiles.append(np.zeros_like(tiles[0]))
    rows = [np.hstack(tiles[i : i + _COLUMNS]) for i in range(0, len(tiles), _COLUMNS)]
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.vstack(rows))
