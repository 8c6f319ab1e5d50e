"""The AI-generated CC0 portraits, aligned: faces that may be shown in cards and sheets."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
from numpy.typing import NDArray

from training.crops import read_index

__all__ = ["load_portraits"]

_POINTS = ("le", "re", "nose", "lm", "rm")
_SIZE = (160, 160)
_MARGIN_PX = 24


def load_portraits(folder: Path, teachers: ModuleType) -> NDArray[np.uint8]:
    """Aligned portraits of ``folder`` (pictures and ``index.csv``): (K, 160, 160, 3) uint8 RGB.

    Raises:
        FileNotFoundError: A picture of the index is missing or no picture.
    """
    crops = []
    for row in read_index(folder / "index.csv"):
        picture = cv2.imread(str(folder / row["file"]))
        if picture is None:
            raise FileNotFoundError(f"{folder / row['file']} is missing or no picture")
        points = [[float(row[f"{name}_x"]), float(row[f"{name}_y"])] for name in _POINTS]
        place = teachers.similarity_transform(
            np.array(points, np.float32), teachers.TEMPLATE112 + _MARGIN_PX
        )
        crop = cv2.warpAffine(
            picture, place, _SIZE, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REFLECT_101
        )
        crops.append(crop[:, :, ::-1])
    return np.ascontiguousarray(np.stack(crops), np.uint8)
