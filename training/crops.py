"""Aligned crops out of plain tar files, as arrays in the order of an index."""

from __future__ import annotations

import csv
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["ARCFACE", "read_index", "read_tar_crops", "read_train_crops"]

ARCFACE: Final = slice(24, 136)
"""Rows, and columns, of a 160 px crop that are the 112 px crop of recognisers."""


def read_index(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file, in file order."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_tar_crops(
    tars: Iterable[Path], names: Sequence[str], *, size_px: int
) -> NDArray[np.uint8]:
    """Decode the named members of tar files.

    Args:
        tars: Files to look through.
        names: Members wanted; the order of the result.
        size_px: Side of every picture.

    Returns:
        (len(names), size_px, size_px, 3) uint8 RGB.

    Raises:
        ValueError: A member is missing, or not a picture of that size.
    """
    position = {name: i for i, name in enumerate(names)}
    crops = np.empty((len(names), size_px, size_px, 3), np.uint8)
    missing = set(names)
    for tar in tars:
        with tarfile.open(tar) as archive:
            for member in archive:
                stream = archive.extractfile(member) if member.name in missing else None
                if stream is None:
                    continue
                bgr = cv2.imdecode(np.frombuffer(stream.read(), np.uint8), cv2.IMREAD_COLOR)
                if bgr is None or bgr.shape != (size_px, size_px, 3):
                    raise ValueError(f"{member.name} in {tar} is not a {size_px}x{size_px} picture")
                crops[position[member.name]] = bgr[..., ::-1]
                missing.discard(member.name)
    if missing:
        raise ValueError(
            f"{len(missing)} crops of the index are in no tar file, e.g. {min(missing)}"
        )
    return crops


def read_train_crops(data: Path, chosen: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
    """Training crops of ``data`` (``../shared/faces``), (N, 160, 160, 3) RGB.

    Args:
        data: Folder of the face sets.
        chosen: Rows of the index; None: all, in their order.
    """
    rows = read_index(data / "train" / "index.csv")
    if chosen is not None:
        rows = [rows[i] for i in chosen]
    tars = [data / "train" / name for name in sorted({row["shard"] for row in rows})]
    return read_tar_crops(tars, [row["file"] for row in rows], size_px=160)
