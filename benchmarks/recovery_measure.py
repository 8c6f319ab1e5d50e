"""How near a recovered video is to the original, in its pixels and its people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from benchmarks.clips import FaceFinder
from benchmarks.face_compare import inner_box, overlap_ratio, psnr_db
from benchmarks.persons import PersonJudge
from benchmarks.source_faces import FACE_SCORE, FrameFaces
from benchmarks.video_io import Fidelity, compare_streams, paired_frames
from engines.arrays import Float32Array, UInt8Array

__all__ = ["RecoveryFigures", "measure_recovery", "overall_percent"]

_SAME_PLACE_OVERLAP = 0.4


@dataclass(frozen=True, slots=True)
class RecoveryFigures:
    """One clip recovered in one way.

    Attributes:
        clip: its name.
        mode: how it was recovered.
        fidelity: frames, times and audio against the original.
        psnr_db: of the inner face of each face and frame.
        accepted: judge -> for each face, whether it is taken for the person of the original.
        is_face: for each face, whether a detector finds one at its place.
    """

    clip: str
    mode: str
    fidelity: Fidelity
    psnr_db: list[float] = field(default_factory=list)
    accepted: dict[str, list[bool]] = field(default_factory=dict)
    is_face: list[bool] = field(default_factory=list)

    def mean_psnr_db(self) -> float:
        """PSNR of the mean squared error over all faces."""
        if not self.psnr_db:
            return float("nan")
        errors = 255.0**2 / 10 ** (np.array(self.psnr_db) / 10)
        return float(10 * np.log10(255.0**2 / errors.mean()))

    def low_psnr_db(self) -> float:
        """The PSNR that 95 % of the faces reach."""
        return float(np.percentile(self.psnr_db, 5)) if self.psnr_db else float("nan")

    def accepted_percent(self, judge: str) -> float:
        """Share of faces taken for the person of the original."""
        answers = self.accepted.get(judge, [])
        return 100 * sum(answers) / len(answers) if answers else float("nan")

    def face_percent(self) -> float:
        """Share of faces in whose place a detector finds a face."""
        return 100 * sum(self.is_face) / len(self.is_face) if self.is_face else float("nan")

    def as_dict(self) -> dict[str, object]:
        """For JSON."""
        return {
            "fidelity": asdict(self.fidelity),
            "faces": len(self.psnr_db),
            "psnr_db_mean": self.mean_psnr_db(),
            "psnr_db_p5": self.low_psnr_db(),
            "accepted_percent": {name: self.accepted_percent(name) for name in self.accepted},
            "asked": {name: len(answers) for name, answers in self.accepted.items()},
            "face_found_percent": self.face_percent(),
        }


def overall_percent(all_figures: Sequence[RecoveryFigures], mode: str) -> dict[str, float]:
    """Judge -> share of the faces of all clips, recovered in one way, taken for the person."""
    chosen = [figures for figures in all_figures if figures.mode == mode]
    found: dict[str, list[bool]] = {}
    for figures in chosen:
        for name, answers in figures.accepted.items():
            found.setdefault(name, []).extend(answers)
    return {name: 100 * sum(a) / len(a) for name, a in found.items() if a}


def _face_psnr(a: UInt8Array, b: UInt8Array, box: Float32Array) -> float | None:
    left, top, right, bottom = inner_box(box, (a.shape[0], a.shape[1]))
    if right - left < 4 or bottom - top < 4:
        return None
    return psnr_db(a[top:bottom, left:right], b[top:bottom, left:right])


def measure_recovery(
    source: Path,
    recovered: Path,
    mode: str,
    faces: Sequence[FrameFaces],
    judges: Sequence[tuple[PersonJudge, int]],
    find: FaceFinder,
    *,
    find_every: int = 5,
) -> RecoveryFigures:
    """Compare a recovered video with the original.

    Args:
        source: the original.
        recovered: what came back.
        mode: for the report.
        faces: the faces of each original frame.
        judges: recognisers, and how many frames apart each is asked.
        find: says whether what came back is a face at all.
        find_every: how many frames apart it is asked.
    """
    figures = RecoveryFigures(source.name, mode, compare_streams(source, recovered))
    figures.accepted.update({judge.name: [] for judge, _ in judges})
    for index, a, b in paired_frames(source, recovered):
        if a.shape != b.shape or index >= len(faces):
            break
        found = faces[index]
        places = np.zeros((0, 4), np.float32)
        if index % find_every == 0 and len(found.boxes_xyxy_px):
            boxes, _, scores = find(b)
            places = boxes[scores >= FACE_SCORE]
        for box, landmarks in zip(found.boxes_xyxy_px, found.landmarks_px, strict=True):
            value = _face_psnr(a, b, box)
            if value is None:
                continue
            figures.psnr_db.append(value)
            for judge, every in judges:
                if index % every == 0:
                    likeness = judge.similarity(a, b, box, landmarks)
                    figures.accepted[judge.name].append(judge.accepts(likeness))
            if index % find_every == 0:
                figures.is_face.append(overlap_ratio(box, places) >= _SAME_PLACE_OVERLAP)
    return figures
