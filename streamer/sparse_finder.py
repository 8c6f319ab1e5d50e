"""Sparse looks: between two frames that agree about their faces, those between need no look.

A look costs ten times as much as everything else of the first pass. Boxes between two looks are
interpolated when all of this holds, otherwise the middle frame is looked at too: both looks see
the same faces in nearly the same places, and no frame between them shows anything, in any place,
that is not on the way from the one to the other. Where only a small part does, such as a clock that
the camera writes into the picture, that part alone is looked at, and must be without faces.
Landmarks are found in each frame all the same.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from engines.arrays import Float32Array
from engines.types import Detections
from streamer.association import match_boxes
from streamer.frames import Frame

__all__ = ["Sample", "SparseFinder", "SparseOptions", "interpolated"]


@dataclass(frozen=True, slots=True)
class SparseOptions:
    """When a frame needs no look of its own.

    Attributes:
        stride: look at every so many frames at least; 1 looks at all.
        longest_s: time between two looks that are joined.
        sure_score: finds from here on must be in both looks.
        near_iou: overlap of a face in two looks with one frame between.
        far_iou: the same with more frames between.
        most_surprise: by which a cell of a frame's thumbnail may be off the line between those of
            the looks, in grey values: whatever comes and goes in between shows here.
        part_ratio: a part of the frame up to so much of its area is looked at alone.
    """

    stride: int = 2
    longest_s: float = 0.2
    sure_score: float = 0.35
    near_iou: float = 0.6
    far_iou: float = 0.75
    most_surprise: float = 20.0
    part_ratio: float = 0.15


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """A frame and its thumbnail.

    Attributes:
        frame: the frame.
        picture: (18, 32) float32 grey values, of `scene_cut.thumbnail`.
    """

    frame: Frame
    picture: Float32Array


class _Finder(Protocol):
    """What looks at frames; see `face_finder.FaceFinder`."""

    def find(self, frame: Frame) -> Detections: ...

    def refine(self, frame: Frame, found: Detections) -> Detections: ...

    def sees_any(self, frame: Frame, part_xyxy_px: tuple[int, int, int, int]) -> bool: ...


class SparseFinder:
    """Finds the faces of frames between two looks. Safe to call from several threads.

    Args:
        finder: looks at a frame.
        options: when it must.
    """

    def __init__(self, finder: _Finder, options: SparseOptions) -> None:
        self._finder = finder
        self.options = options

    def look(self, sample: Sample) -> Detections:
        """All faces of a frame."""
        return self._finder.find(sample.frame)

    def between(
        self,
        first: tuple[Sample, Detections],
        samples: Sequence[Sample],
        last: tuple[Sample, Detections],
    ) -> list[Detections]:
        """All faces of the frames between two looks, looking at as few of them as can be.

        Args:
            first: the frame before, and what was found there.
            samples: the frames between, in order.
            last: the frame after, and what was found there.
        """
        if not samples:
            return []
        found = self._on_the_way(first, samples, last)
        if found is not None:
            return found
        half = len(samples) // 2
        middle = samples[half], self.look(samples[half])
        return [
            *self.between(first, samples[:half], middle),
            middle[1],
            *self.between(middle, samples[half + 1 :], last),
        ]

    def _on_the_way(
        self,
        first: tuple[Sample, Detections],
        samples: Sequence[Sample],
        last: tuple[Sample, Detections],
    ) -> list[Detections] | None:
        options = self.options
        begin_s, end_s = first[0].frame.time_s, last[0].frame.time_s
        if not 0 < end_s - begin_s <= options.longest_s:
            return None
        shares = [(sample.frame.time_s - begin_s) / (end_s - begin_s) for sample in samples]
        min_iou = options.near_iou if len(samples) == 1 else options.far_iou
        found = interpolated(
            first[1], last[1], shares, sure_score=options.sure_score, min_iou=min_iou
        )
        if found is None:
            return None
        for sample, share in zip(samples, shares, strict=True):
            expected = first[0].picture + share * (last[0].picture - first[0].picture)
            if self._may_show_more(sample, np.abs(sample.picture - expected)):
                return None
        return [
            self._finder.refine(sample.frame, faces)
            for sample, faces in zip(samples, found, strict=True)
        ]

    def _may_show_more(self, sample: Sample, surprise: Float32Array) -> bool:
        """Whether there may be a face in a frame that was in neither look."""
        part = _part(surprise > self.options.most_surprise)
        if part is None:
            return False
        height, width = surprise.shape
        x1, y1, x2, y2 = part
        if (x2 - x1) * (y2 - y1) > self.options.part_ratio * height * width:
            return True
        rows, columns = sample.frame.size_hw
        across, down = columns / width, rows / height
        within = int(x1 * across), int(y1 * down), math.ceil(x2 * across), math.ceil(y2 * down)
        return self._finder.sees_any(sample.frame, within)


def _part(cells: NDArray[np.bool_]) -> tuple[int, int, int, int] | None:
    """The box (x1, y1, x2, y2) of some cells and their surroundings; None if there are none.

    Of a face that has come, only a part may differ from what was there, so the box is grown on each
    side by its own size, and by two cells at least.
    """
    x, y, width, height = cv2.boundingRect(cells.astype(np.uint8))
    if not width:
        return None
    rows, columns = cells.shape
    across, down = max(2, width), max(2, height)
    return (
        max(0, x - across),
        max(0, y - down),
        min(columns, x + width + across),
        min(rows, y + height + down),
    )


def interpolated(
    first: Detections,
    last: Detections,
    shares: Sequence[float],
    *,
    sure_score: float,
    min_iou: float,
) -> list[Detections] | None:
    """Faces between two looks, on straight lines; None when the looks do not agree.

    Args:
        first: finds of the look before.
        last: finds of the look after.
        shares: where between them each wanted frame lies, 0 to 1.
        sure_score: finds from here on must have a partner in the other look.
        min_iou: overlap of partners.

    Returns:
        For each share the pairs in between, and the weak finds without partner of both looks.
    """
    pairs = match_boxes(
        first.boxes_xyxy_px,
        last.boxes_xyxy_px,
        gates=np.full(len(first), 1e-6),
        min_iou=min_iou,
        max_size_ratio=1.5,
    )
    rows = np.array([pair[0] for pair in pairs], np.int64)
    others = np.array([pair[1] for pair in pairs], np.int64)
    alone = [_without(found, taken) for found, taken in ((first, rows), (last, others))]
    if any((found.scores >= sure_score).any() for found in alone):
        return None
    start, end = _rows(first, rows), _rows(last, others)
    return [_joined([_mixed(start, end, share), *alone]) for share in shares]


def _rows(found: Detections, rows: NDArray[np.int64]) -> Detections:
    return Detections(found.boxes_xyxy_px[rows], found.landmarks_px[rows], found.scores[rows])


def _without(found: Detections, taken: NDArray[np.int64]) -> Detections:
    is_left = np.ones(len(found), bool)
    is_left[taken] = False
    return _rows(found, np.flatnonzero(is_left))


def _mixed(start: Detections, end: Detections, share: float) -> Detections:
    return Detections(
        _line(start.boxes_xyxy_px, end.boxes_xyxy_px, share),
        _line(start.landmarks_px, end.landmarks_px, share),
        _line(start.scores, end.scores, share),
    )


def _line(start: Float32Array, end: Float32Array, share: float) -> Float32Array:
    return np.asarray(start + np.float32(share) * (end - start), np.float32)


def _joined(parts: Sequence[Detections]) -> Detections:
    return Detections(
        np.concatenate([part.boxes_xyxy_px for part in parts]),
        np.concatenate([part.landmarks_px for part in parts]),
        np.concatenate([part.scores for part in parts]),
    )
