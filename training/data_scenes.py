"""Labelled pictures for the detector: whole scenes and aligned face crops.

Scenes come with boxes in the WIDER style and five landmarks where known.  Aligned crops
(160x160 canvas) have landmarks only; their boxes are asked of a teacher once and cached.
"""

from __future__ import annotations

import csv
import tarfile
import zlib
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

__all__ = ["CropSet", "Faces", "Scene", "empty_faces", "load_crops", "load_scenes"]

Boxer = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
_POINTS = ("le", "re", "nose", "lm", "rm")


@dataclass(frozen=True, slots=True, eq=False)
class Faces:
    """Faces of one picture.

    ``box_xyxy_px (K, 4)``, ``points_px (K, 5, 2)`` (NaN where unknown), ``ignore (K,)``.
    """

    box_xyxy_px: NDArray[np.float32]
    points_px: NDArray[np.float32]
    ignore: NDArray[np.bool_]

    def select(self, keep: NDArray[np.bool_]) -> Faces:
        """Return the faces where ``keep`` is true."""
        return Faces(self.box_xyxy_px[keep], self.points_px[keep], self.ignore[keep])

    def join(self, other: Faces) -> Faces:
        """Return these faces followed by ``other``."""
        return Faces(
            np.concatenate([self.box_xyxy_px, other.box_xyxy_px]),
            np.concatenate([self.points_px, other.points_px]),
            np.concatenate([self.ignore, other.ignore]),
        )


@dataclass(frozen=True, slots=True, eq=False)
class Scene:
    """One photograph, ``rgb (H, W, 3) uint8``, with its faces."""

    name: str
    source: str
    rgb: NDArray[np.uint8]
    faces: Faces


@dataclass(frozen=True, slots=True, eq=False)
class CropSet:
    """Aligned crops, still encoded.

    ``box (N, 4)``, ``points (N, 5, 2)`` and ``quad (N, 4, 2)`` are in canvas pixels.
    ``quad`` holds the corners of the part that the source picture covers; ``fill (N,)`` its share;
    ``labels`` the row of ``index.csv``, with age, gender and race where the source states them.
    """

    encoded: list[bytes]
    box: NDArray[np.float32]
    points: NDArray[np.float32]
    quad: NDArray[np.float32]
    fill: NDArray[np.float32]
    labels: list[dict[str, str]]

    def rgb(self, index: int) -> NDArray[np.uint8]:
        """Decode crop ``index`` to ``(160, 160, 3) uint8 RGB``."""
        return _decode(self.encoded[index])


def empty_faces() -> Faces:
    """Return a ``Faces`` of length zero."""
    return Faces(
        np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.bool_)
    )


def load_scenes(folder: Path, *, split: str) -> list[Scene]:
    """Read the scenes of ``split``, ``train`` or ``val``, below the data folder ``faces``."""
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with (folder / "scenes" / "boxes.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            rows[row["file"]].append(row)
    wanted: dict[str, dict[str, str]] = {}
    with (folder / "scenes" / "scenes.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            if row["split"] == split:
                wanted[row["file"]] = row
    scenes = []
    for shard in sorted({row["shard"] for row in wanted.values()}):
        with tarfile.open(folder / "scenes" / shard) as archive:
            for member in archive:
                if member.name not in wanted or (stream_b := archive.extractfile(member)) is None:
                    continue
                source = wanted[member.name]["source"]
                scenes.append(
                    Scene(member.name, source, _decode(stream_b.read()), _parse(rows[member.name]))
                )
    return scenes


def load_crops(
    folder: Path, *, split: str, boxer: Boxer, cache: Path | None, limit: int | None = None
) -> CropSet:
    """Read the aligned crops of ``split``; about three in a hundred are ``val``, by their name.

    ``boxer`` gives each crop's box ``(4,)`` or NaN; its answers are kept in ``cache`` (npz).
    """
    rows = _crop_rows(folder, split, limit)
    box = _boxes_of(rows, boxer, cache)
    keep = np.flatnonzero(np.isfinite(box).all(1))
    labels, encoded = [rows[i][0] for i in keep], [rows[i][1] for i in keep]
    whole = "0 0 160 0 160 160 0 160"
    points = np.stack([_numbers(row["lm160"], 5) for row in labels])
    quad = np.stack([_numbers(row["src_quad"] or whole, 4) for row in labels])
    fill = np.array([float(row["fill160"]) for row in labels], np.float32)
    return CropSet(encoded, box[keep], points, quad, fill, labels)


def _boxes_of(
    rows: list[tuple[dict[str, str], bytes]], boxer: Boxer, cache: Path | None
) -> NDArray[np.float32]:
    known: dict[str, NDArray[np.float32]] = {}
    if cache is not None and cache.exists():
        with np.load(cache) as stored:
            known = dict(zip(stored["names"].tolist(), stored["box"], strict=True))
    asked = [(row["file"], data) for row, data in rows if row["file"] not in known]
    known.update({name: boxer(_decode(data)) for name, data in asked})
    if cache is not None and asked:
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, names=np.array(list(known)), box=np.stack(list(known.values())))
    return np.stack([known[row["file"]] for row, _ in rows]).astype(np.float32)


def _crop_rows(folder: Path, split: str, limit: int | None) -> list[tuple[dict[str, str], bytes]]:
    with (folder / "train" / "index.csv").open(newline="") as stream:
        index = {row["file"]: row for row in csv.DictReader(stream)}
    index = {name: row for name, row in index.items() if _split(name) == split}
    rows: list[tuple[dict[str, str], bytes]] = []
    for shard in sorted({row["shard"] for row in index.values()}):
        with tarfile.open(folder / "train" / shard) as archive:
            for member in archive:
                if limit is not None and len(rows) >= limit:
                    return rows
                if member.name in index and (stream_b := archive.extractfile(member)) is not None:
                    rows.append((index[member.name], stream_b.read()))
    return rows


def _split(name: str) -> str:
    return "val" if zlib.crc32(name.encode()) % 33 == 0 else "train"


def _numbers(text: str, pairs: int) -> NDArray[np.float32]:
    return np.array([float(value) for value in text.split()], np.float32).reshape(pairs, 2)


def _decode(data: bytes) -> NDArray[np.uint8]:
    bgr = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if bgr is None:
        raise ValueError("a picture of the data set cannot be decoded; fetch the shard again")
    return np.ascontiguousarray(bgr[..., ::-1], dtype=np.uint8)


def _parse(rows: list[dict[str, str]]) -> Faces:
    if not rows:
        return empty_faces()
    box = np.array(
        [[float(row[key]) for key in ("x1", "y1", "x2", "y2")] for row in rows], np.float32
    )
    points = np.array(
        [[[float(row[f"{p}_{axis}"] or "nan") for axis in "xy"] for p in _POINTS] for row in rows],
        np.float32,
    )
    return Faces(box, points, np.array([row["ignore"] == "1" for row in rows]))
