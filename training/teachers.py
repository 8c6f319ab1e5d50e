"""The teacher models: readers that lie beside the weights, outside this repository."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

__all__ = ["crop_boxer", "load_teachers"]

_MODULE = "veilstream_teachers"


def load_teachers(folder: Path) -> ModuleType:
    """Import ``teachers.py`` of ``folder``; the models are opened when first used.

    Args:
        folder: Usually ``../shared/models``.

    Raises:
        FileNotFoundError: The folder has no ``teachers.py``.
    """
    path = folder.resolve() / "teachers.py"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: the teacher models are not part of this repository; "
            "say where they are with --teachers FOLDER"
        )
    loaded = sys.modules.get(_MODULE)
    if loaded is not None and loaded.__file__ == str(path):
        return loaded
    spec = importlib.util.spec_from_file_location(_MODULE, path)
    if spec is None or spec.loader is None:
        raise FileNotFoundError(f"{path} cannot be imported as Python")
    module = importlib.util.module_from_spec(spec)
    sys.modules[_MODULE] = module
    spec.loader.exec_module(module)
    return module


def crop_boxer(teachers: ModuleType) -> Callable[[NDArray[np.uint8]], NDArray[np.float32]]:
    """YuNet's box ``(4,)`` of the face in the middle of an aligned crop, NaN where it sees none."""

    def box(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        boxes, points, _ = teachers.detect_yunet(np.ascontiguousarray(rgb[..., ::-1]), score=0.5)
        if not len(boxes):
            return np.full(4, np.nan, np.float32)
        near = np.abs(points.mean(1) - rgb.shape[0] / 2).sum(1)  # other faces lie at the edges
        return np.asarray(boxes[int(near.argmin())], np.float32)

    return box
