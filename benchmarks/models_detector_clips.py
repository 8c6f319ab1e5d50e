"""The detector on the development clips, against what two teacher detectors find together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.boxes import iou_matrix
from engines.types import Detections

__all__ = ["ClipFrame", "Finder", "clip_frames", "found_ratio", "teacher_faces"]

Finder = Callable[[NDArray[np.uint8]], Detections]
_SAME_FACE_IOU = 0.4
_SURE_SCORE = 0.8


@dataclass(frozen=True, slots=True, eq=False)
class ClipFrame:
    """A frame ``(H, W, 3) uint8 RGB`` and the faces ``(K, 4)`` that the teachers found in it.

    ``agreed (K,)`` tells faces that both found from those only one is sure of.
    """

    clip: str
    rgb: NDArray[np.uint8]
    faces: NDArray[np.float32]
    agreed: NDArray[np.bool_]


def teacher_faces(
    first: Detections, second: Detections
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Join two teachers: faces both found, and faces that one found with a score of 0.8 or more."""
    same = iou_matrix(first.boxes_xyxy_px, second.boxes_xyxy_px) >= _SAME_FACE_IOU
    both = np.asarray(same.any(1))
    keep_first = both | (first.scores >= _SURE_SCORE)
    keep_second = ~same.any(0) & (second.scores >= _SURE_SCORE)
    boxes = np.concatenate([first.boxes_xyxy_px[keep_first], second.boxes_xyxy_px[keep_second]])
    agreed = np.concatenate([both[keep_first], np.zeros(int(keep_second.sum()), np.bool_)])
    return boxes, agreed


def clip_frames(
    folder: Path, *, every: int, teachers: tuple[Finder, Finder]
) -> Iterator[ClipFrame]:
    """Every ``every``-th frame of each clip in ``folder``, labelled by both teachers."""
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".mp4", ".mkv", ".webm")):
        capture = cv2.VideoCapture(str(path))
        number = 0
        while capture.grab():
            if number % every == 0:
                good, bgr = capture.retrieve()
                if good:
                    rgb = np.ascontiguousarray(bgr[..., ::-1], dtype=np.uint8)
                    faces, agreed = teacher_faces(teachers[0](rgb), teachers[1](rgb))
                    yield ClipFrame(path.name, rgb, faces, agreed)
            number += 1
        capture.release()


def found_ratio(frames: list[ClipFrame], results: list[Detections]) -> dict[str, object]:
    """Share of the teachers' faces that ``results`` cover, over all clips and for each."""
    tally: dict[str, list[int]] = {}
    agreed_found = agreed_all = extra = 0
    for frame, found in zip(frames, results, strict=True):
        overlap = iou_matrix(frame.faces, found.boxes_xyxy_px) >= _SAME_FACE_IOU
        hit = np.asarray(overlap.any(1))
        counts = tally.setdefault(frame.clip, [0, 0, 0])
        counts[0] += int(hit.sum())
        counts[1] += len(hit)
        counts[2] += int((~overlap.any(0)).sum())
        agreed_found += int((hit & frame.agreed).sum())
        agreed_all += int(frame.agreed.sum())
        extra += int((~overlap.any(0)).sum())
    found_all, all_faces = (sum(c[i] for c in tally.values()) for i in (0, 1))
    return {
        "ratio": found_all / max(all_faces, 1),
        "ratio_agreed": agreed_found / max(agreed_all, 1),
        "faces": all_faces,
        "beyond_teachers_per_frame": extra / max(len(frames), 1),
        "per_clip": {
            clip: {"ratio": hits / faces if faces else None, "faces": faces, "beyond": more}
            for clip, (hits, faces, more) in tally.items()
        },
    }
