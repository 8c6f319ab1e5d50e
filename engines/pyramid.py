"""Several looks at a frame: the network's input and smaller ones, so that near faces fit its field.

A look of a third of the sides costs a ninth of the time. Each look answers for the sizes that it
is good at, and bears witness for the others: a weak find that another look should see too, and
does not, is not believed.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from engines.arrays import AnyArray, BoolArray, Float32Array, UInt8Array
from engines.boxes import iou_matrix, nms
from engines.preprocess import Letterbox, padded_to_multiple
from engines.types import Detections

__all__ = [
    "LookLimits",
    "coarse_factor",
    "doubted_giants",
    "has_doubtful_giants",
    "merge_looks",
    "shrunk",
]

# The coarse look's longer side. Measured on the clips: below a 960 px look, 320 px cover a tenth
# of what 480 px cover by mistake, and miss no more (docs/decisions/0040).
_COARSE_SIDE_PX = 320
# Face sizes in pixels of the finer look: above the first it invents faces inside big ones, below
# the second the coarser one sees too little.  Measured on the validation scenes.
_FINE_MOST_PX = 140.0
_COARSE_LEAST_PX = 120.0
# Faces from here on, in pixels of the coarser look, are seen by it at any rate.
_WITNESS_LEAST_PX = 15.0
# In pixels of the coarser look: above, it errs often enough to need a still coarser witness.
_GIANT_PX = 75.0
_WITNESS_IOU = 0.3
_INSIDE_RATIO = 0.8
_SMALLER_RATIO = 0.6
_MUCH_SMALLER_RATIO = 1 / 6


@dataclass(frozen=True, slots=True)
class LookLimits:
    """What the looks are held to.

    Attributes:
        nms_iou: boxes that overlap a stronger one by more than this are duplicates.
        sure_score: finds from here on need no witness.
        doubtful_score: a find that its witness does not confirm scores no more than this.
    """

    nms_iou: float
    sure_score: float
    doubtful_score: float


def coarse_factor(long_side_px: int) -> int:
    """By how much the coarse look's sides are shorter than the fine one's."""
    return max(2, round(long_side_px / _COARSE_SIDE_PX))


def shrunk(canvas: UInt8Array, box: Letterbox, factor: int) -> tuple[UInt8Array, Letterbox]:
    """Shrink a network input ``(H, W, 3) uint8`` to a fraction of its sides."""
    height, width = (max(side // factor, 1) for side in box.content_hw)
    content = canvas[: box.content_hw[0], : box.content_hw[1]]
    small = padded_to_multiple(_averaged(content, (height, width), factor))
    canvas_hw = (small.shape[0], small.shape[1])
    return small, replace(box, content_hw=(height, width), canvas_hw=canvas_hw)


def _averaged(content: UInt8Array, size_hw: tuple[int, int], factor: int) -> UInt8Array:
    """The content at another size, each pixel the mean of those it stands for."""
    height, width = size_hw
    if factor > 1 and factor % 2 and content.shape[:2] == (factor * height, factor * width):
        # Half the time and, with no ties in means of an odd count, the same bits.
        means = cv2.blur(content, (factor, factor), anchor=(0, 0))
        small = cv2.resize(means, (width, height), interpolation=cv2.INTER_NEAREST)
    else:
        small = cv2.resize(content, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.uint8)


def merge_looks(
    fine: Detections, coarse: Detections, box: Letterbox, limits: LookLimits, *, factor: int
) -> Detections:
    """Join two looks.  Strongest first, duplicates removed.

    A weaker box that lies inside a stronger, bigger one is a part of that face. A weaker one much
    bigger than a sure face that both looks see in its middle is no face.

    Args:
        fine: what the finer look found.
        coarse: what the coarser one found, at equally low scores.
        box: the finer look's.
        limits: what they are held to.
        factor: by how much the coarser look's sides are shorter.
    """
    unit = float(np.sqrt(box.factor_xy.prod()))
    fine_px, coarse_px = (_sizes(found.boxes_xyxy_px) * unit for found in (fine, coarse))
    overlap = iou_matrix(fine.boxes_xyxy_px, coarse.boxes_xyxy_px)
    seen_twice = _any_over(overlap, 1), _any_over(overlap, 0)
    in_both = fine_px >= _WITNESS_LEAST_PX * factor, coarse_px <= _FINE_MOST_PX
    fine, coarse = (
        _doubted(found, should & ~twice, limits)
        for found, should, twice in zip((fine, coarse), in_both, seen_twice, strict=True)
    )
    keep_fine, keep_coarse = fine_px < _FINE_MOST_PX, coarse_px >= _COARSE_LEAST_PX
    boxes = np.concatenate([fine.boxes_xyxy_px[keep_fine], coarse.boxes_xyxy_px[keep_coarse]])
    points = np.concatenate([fine.landmarks_px[keep_fine], coarse.landmarks_px[keep_coarse]])
    scores = np.concatenate([fine.scores[keep_fine], coarse.scores[keep_coarse]])
    twice = np.concatenate([seen_twice[0][keep_fine], seen_twice[1][keep_coarse]])
    keep = nms(boxes, scores, iou_threshold=limits.nms_iou)
    keep = keep[~_inside_stronger(boxes[keep], scores[keep])]
    joined = Detections(boxes[keep], points[keep], scores[keep])
    return _doubted(joined, _around_sure(joined, twice[keep], limits.sure_score), limits)


def has_doubtful_giants(coarse: Detections, box: Letterbox, limits: LookLimits) -> bool:
    """Whether a look still coarser than ``box`` should be asked, see `doubted_giants`."""
    return bool(_giants(coarse, box, limits).any())


def doubted_giants(
    coarse: Detections, coarser: Detections, box: Letterbox, limits: LookLimits
) -> Detections:
    """The finds of the coarse look, those doubted that are giants and not seen by a coarser one."""
    giants = _giants(coarse, box, limits)
    seen = _any_over(iou_matrix(coarse.boxes_xyxy_px, coarser.boxes_xyxy_px), 1)
    return _doubted(coarse, giants & ~seen, limits)


def _any_over(overlap: Float32Array, axis: int) -> BoolArray:
    """Along which rows or columns two boxes are one find."""
    return np.asarray((overlap >= _WITNESS_IOU).any(axis), np.bool_)


def _giants(coarse: Detections, box: Letterbox, limits: LookLimits) -> BoolArray:
    unit = float(np.sqrt(box.factor_xy.prod()))
    weak = (coarse.scores < limits.sure_score) & (coarse.scores > limits.doubtful_score)
    return np.asarray((_sizes(coarse.boxes_xyxy_px) * unit >= _GIANT_PX) & weak, np.bool_)


def _doubted(found: Detections, which: BoolArray, limits: LookLimits) -> Detections:
    """The same finds, where those of ``which`` that are not sure score too little to be tracked.

    They stay, since a weak find where a face was before keeps that face covered.
    """
    weak = which & (found.scores < limits.sure_score)
    least = np.minimum(found.scores, np.float32(limits.doubtful_score))
    return replace(found, scores=np.where(weak, least, found.scores).astype(np.float32))


def _sizes(boxes: Float32Array) -> Float32Array:
    return np.asarray(np.sqrt((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(1)), np.float32)


def _inside_stronger(boxes: Float32Array, scores: Float32Array) -> AnyArray:
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    shared = (high - low).clip(0).prod(-1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    inside = shared > _INSIDE_RATIO * area[:, None]
    smaller = area[:, None] < _SMALLER_RATIO * area[None]
    return np.asarray((inside & smaller & (scores[:, None] < scores[None])).any(1))


def _around_sure(found: Detections, seen_twice: BoolArray, sure_score: float) -> BoolArray:
    """Boxes around the centre of a much smaller face of which there is no doubt."""
    boxes = found.boxes_xyxy_px
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    area = _sizes(boxes) ** 2
    holds = ((centres[None] > boxes[:, None, :2]) & (centres[None] < boxes[:, None, 2:])).all(-1)
    smaller = area[None] < _MUCH_SMALLER_RATIO * area[:, None]
    sure = seen_twice & (found.scores >= sure_score)
    return np.asarray((holds & smaller & sure[None]).any(1), np.bool_)
