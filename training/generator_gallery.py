"""The gallery of synthetic portraits that the protecting branch chooses from."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from training.crops import read_index

__all__ = ["load_portraits", "portrait_keys"]

_POINTS = ("le", "re", "nose", "lm", "rm")
_SIZE = (160, 160)
_MARGIN_PX = 24
_SEED = 2026


def load_portraits(folder: Path, teachers: ModuleType) -> Tensor:
    """Aligned portraits of ``folder`` (pictures and ``index.csv``): (K, 3, 160, 160) in [-1, 1]."""
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
    return torch.from_numpy(np.stack(crops)).permute(0, 3, 1, 2).float() / 127.5 - 1.0


def portrait_keys(count: int, dim: int) -> Tensor:
    """(2, count, dim) fixed random unit rows: every portrait is chosen about equally often."""
    generator = torch.Generator().manual_seed(_SEED)
    return F.normalize(torch.randn(2, count, dim, generator=generator), dim=2)
