"""A memory of answers that cost time, keyed by what was asked; what makes a long run resumable."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["Memo", "default_cache"]

_CHUNK_ROWS: Final = 45

Array = NDArray[Any]


def default_cache() -> Path:
    """The user's cache folder: answers about real faces do not belong in the repository."""
    root = os.environ.get("XDG_CACHE_HOME")
    return (Path(root) if root else Path.home() / ".cache") / "veilstream-benchmarks"


class Memo:
    """Results of row-wise functions, kept in files.

    The key is the label and the bytes of the arguments: other pictures or other weights (name them
    in the label) are other questions. Code is not part of it: after changing how a judge reads a
    picture, delete the folder.

    Args:
        folder: where to keep them, created with access for its owner only; None keeps nothing.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self.asked = 0
        self.answered_from_files = 0
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def rows(self, label: str, work: Callable[..., Array], *arrays: Array) -> Array:
        """`work(*arrays)` in pieces along the first axis.

        Args:
            label: names the function and everything its answer depends on besides the arrays.
            work: takes pieces of the arrays, returns one row for each of their rows.
            arrays: at least one, all with the same number of rows, at least one row.
        """
        count = len(arrays[0])
        if any(len(array) != count for array in arrays):
            raise ValueError(f"{label}: the arrays have different numbers of rows")
        pieces = []
        for start in range(0, count, _CHUNK_ROWS):
            part = [array[start : start + _CHUNK_ROWS] for array in arrays]
            pieces.append(self._piece(label, work, part))
        return np.concatenate(pieces)

    def _piece(self, label: str, work: Callable[..., Array], part: Sequence[Array]) -> Array:
        self.asked += 1
        if self._folder is None:
            return work(*part)
        path = self._folder / f"{_key(label, part)}.npy"
        if path.is_file():
            self.answered_from_files += 1
            return np.asarray(np.load(path, allow_pickle=False))
        answer = work(*part)
        # Renamed when whole: a run that was killed leaves no half answer behind.
        partial = path.with_suffix(f".{os.getpid()}.part.npy")
        np.save(partial, answer, allow_pickle=False)
        partial.replace(path)
        return answer


def _key(label: str, arrays: Sequence[Array]) -> str:
    digest = hashlib.sha256(label.encode())
    for array in arrays:
        digest.update(f"|{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()[:32]
