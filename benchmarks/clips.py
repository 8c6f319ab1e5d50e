"""The development clips and the judges (teacher networks) beside the repository."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engines.arrays import Float32Array, UInt8Array

__all__ = [
    "DEFAULT_SHARED",
    "BenchmarkError",
    "FaceFinder",
    "Teachers",
    "find_clips",
    "load_teachers",
    "output_name",
]

DEFAULT_SHARED: Final = Path(__file__).resolve().parents[2] / "shared"
_SUFFIXES: Final = (".mp4", ".mkv", ".webm", ".ts", ".mov", ".avi")

# (H, W, 3) uint8 BGR to boxes (N, 4) x1 y1 x2 y2, landmarks (N, 5, 2) and scores (N,).
FaceFinder = Callable[[UInt8Array], tuple[Float32Array, Float32Array, Float32Array]]


class BenchmarkError(Exception):
    """A benchmark cannot run; shown as one line."""


@dataclass(frozen=True, slots=True)
class Teachers:
    """Judges that no part of the product ships or runs.

    Attributes:
        yunet: finds faces from a score of 0.3; those of 0.6 or more count as faces.
        retinaface: a second opinion on what YuNet found.
        embed: (N, 112, 112, 3) uint8 RGB to unit embeddings (N, 512) of EdgeFace-XXS.
        align: frame RGB and landmarks (N, 5, 2) to aligned crops (N, 112, 112, 3).
        same_person_cosine: cosine of two embeddings from which EdgeFace-XXS accepts them as one
            person, at a false accept rate of 1e-3 on LFW.
    """

    yunet: FaceFinder
    retinaface: FaceFinder
    embed: Callable[[UInt8Array], Float32Array]
    align: Callable[[UInt8Array, Float32Array], UInt8Array]
    same_person_cosine: float


def load_teachers(shared: Path, *, max_side_px: int = 1920) -> Teachers:
    """Load the judges.

    Args:
        shared: folder that holds `models/teachers.py`.
        max_side_px: YuNet sees frames at most this long.

    Raises:
        BenchmarkError: they are not there.
    """
    path = shared / "models" / "teachers.py"
    if not path.is_file():
        raise BenchmarkError(f"no judges: {path} does not exist (give the folder with --shared)")
    spec = importlib.util.spec_from_file_location("veilstream_benchmark_teachers", path)
    if spec is None or spec.loader is None:
        raise BenchmarkError(f"{path} cannot be imported")
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.THREADS = 1
    return Teachers(
        yunet=lambda bgr: module.detect_yunet(bgr, 0.3, max_side=max_side_px),
        retinaface=lambda bgr: module.detect_retinaface(bgr, 0.6),
        embed=module.embed_edgeface_xxs,
        align=module.align_crops,
        same_person_cosine=float(module.THRESHOLDS["edgeface_xxs"][0]),
    )


def find_clips(names: Sequence[str], shared: Path) -> list[Path]:
    """Paths of the clips.

    Args:
        names: paths, or names of clips in `shared/clips` with or without suffix; none means all.
        shared: the folder beside the repository.

    Raises:
        BenchmarkError: a clip or the folder is missing.
    """
    folder = shared / "clips"
    if not names:
        clips = sorted(p for p in folder.glob("*") if p.suffix in _SUFFIXES)
        if not clips:
            raise BenchmarkError(f"no clips in {folder} (give the folder with --shared)")
        return clips
    return [_find_clip(name, folder) for name in names]


def _find_clip(name: str, folder: Path) -> Path:
    if Path(name).is_file():
        return Path(name)
    for candidate in (folder / name, *(folder / (name + suffix) for suffix in _SUFFIXES)):
        if candidate.is_file():
            return candidate
    raise BenchmarkError(f"no clip {name}: neither a file nor in {folder}")


def output_name(clip: Path) -> str:
    """Name of the output of a clip, in a container that keeps its streams and time stamps."""
    return clip.stem + (".mp4" if clip.suffix in (".mp4", ".mov") else ".mkv")
