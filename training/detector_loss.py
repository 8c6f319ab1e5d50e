"""Targets and losses of the detector.

Centre sampling by face size, quality focal score, DIoU boxes, smooth L1 points.  With a teacher's
scores, faces that the teacher finds are learnt as softly as it sees them, cell by cell; faces
that it misses (tilted, covered) are learnt from their labels.

A target row has 16 numbers: box x1 y1 x2 y2, ten landmark coordinates, landmark weight, kind
(0 = padding, 1 = face, 2 = ignore: no score is learnt inside it).  Pixels of the network input.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.detector_net import STRIDES, split_map

__all__ = ["ROW", "DetectorLoss", "detector_loss"]

ROW = 16
# Face sizes (square root of the area, pixels) each stride learns; they overlap, so that no
# size falls between two.
_RANGES = {8: (0.0, 56.0), 16: (40.0, 160.0), 32: (116.0, 1e9)}
_BOX_WEIGHT, _POINT_WEIGHT = 2.0, 8.0
_POINT_BETA = 0.02  # of the face size; about a twentieth of the eye distance
_KNOWN_SCORE = 0.45  # from here on the teacher has found a face
_POSITIVE_SCORE = 0.3  # such cells of a face that it found also learn the box
_DOUBT_SCORE = 0.7  # where the teacher is so sure and no label says face, nothing is learnt


@dataclass(frozen=True, slots=True, eq=False)
class DetectorLoss:
    """The weighted sum and its parts."""

    total: Tensor
    score: Tensor
    box: Tensor
    points: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class _Cells:
    """All cells of the three maps: origins ``(P, 2)``, strides ``(P,)``, size limits ``(P,)``."""

    origin: Tensor
    stride: Tensor
    low: Tensor
    high: Tensor


def _cells(shapes_hw: list[tuple[int, int]]) -> _Cells:
    origins, strides, lows, highs = [], [], [], []
    for stride, (height, width) in zip(STRIDES, shapes_hw, strict=True):
        y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        origins.append(torch.stack([x, y], -1).reshape(-1, 2).float() * stride)
        count = height * width
        strides.append(torch.full((count,), float(stride)))
        lows.append(torch.full((count,), _RANGES[stride][0]))
        highs.append(torch.full((count,), _RANGES[stride][1]))
    return _Cells(torch.cat(origins), torch.cat(strides), torch.cat(lows), torch.cat(highs))


def _assign(cells: _Cells, rows: Tensor) -> tuple[Tensor, Tensor]:
    """For ``rows (M, 16)`` of one picture, say what each cell learns.

    Returns:
        Row index of each cell, ``(P,)``, -1 for none; whether its score is learnt, ``(P,)``.
    """
    box, kind = rows[:, :4], rows[:, 15]
    size = (box[:, 2:] - box[:, :2]).clamp(min=1e-3)
    centre, extent = (box[:, :2] + box[:, 2:]) / 2, size.prod(1).sqrt()
    offset = (cells.origin[:, None] - centre[None]).abs()
    stride = cells.stride[:, None]
    reach = torch.maximum(
        torch.minimum(size[None] / 4, 1.25 * stride[..., None]), 0.75 * stride[..., None]
    )
    fits = (extent[None] >= cells.low[:, None]) & (extent[None] < cells.high[:, None])
    positive = (offset <= reach).all(-1) & fits & (kind[None] == 1)
    # The nearest face wins a cell that several want, distances measured in face sizes.
    cost = (offset / size[None]).sum(-1) + extent[None] * 1e-4
    cost = torch.where(positive, cost, torch.full_like(cost, torch.inf))
    best, index = cost.min(1)
    index = torch.where(torch.isfinite(best), index, torch.full_like(index, -1))
    inside = (offset <= size[None] / 2 + stride[..., None] / 2).all(-1)
    # Half a face size off the range, a level neither learns the face nor learns to deny it.
    near = (
        (extent[None] >= cells.low[:, None] * 0.7)
        & (extent[None] < cells.high[:, None] * 1.4)
        & ~fits
    )
    ignored = (
        inside & ((kind[None] == 2) | ((kind[None] == 1) & near & (offset <= reach).all(-1)))
    ).any(1)
    return index, (index >= 0) | ~ignored


def _follow(
    cells: _Cells, rows: Tensor, index: Tensor, learnt: Tensor, seen: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Put the teacher's scores ``seen (P,)`` in place of the targets where it finds the face.

    Returns:
        Row index and whether the score is learnt, as ``_assign``; wanted score of each cell,
        NaN where the overlap of the box decides it.
    """
    box, kind = rows[:, :4], rows[:, 15]
    size = (box[:, 2:] - box[:, :2]).clamp(min=1e-3)
    offset = (cells.origin[:, None] - (box[:, :2] + box[:, 2:])[None] / 2).abs()
    slack = cells.stride[:, None, None] / 2
    inside = (offset <= torch.maximum(size[None] / 2, slack)).all(-1) & (kind[None] > 0)
    middle = (offset <= torch.maximum(size[None] / 4, slack)).all(-1) & (kind[None] > 0)
    best = torch.where(middle, seen[:, None], torch.zeros_like(seen[:, None])).amax(0)
    known = (best >= _KNOWN_SCORE) & (kind == 1)
    cost = (offset / size[None]).sum(-1)
    cost = torch.where(inside, cost, torch.full_like(cost, torch.inf))
    nearest, owner = cost.min(1)
    within = torch.isfinite(nearest)
    by_teacher = within & (known[owner] | (kind[owner] == 2))
    positive = by_teacher & known[owner] & (seen >= _POSITIVE_SCORE)
    wanted = torch.where(by_teacher, seen, torch.full_like(seen, torch.nan))
    index = torch.where(by_teacher, torch.where(positive, owner, -1), index)
    learnt = torch.where(by_teacher, torch.ones_like(learnt), learnt)
    return index, learnt & (within | (seen < _DOUBT_SCORE)), wanted


def _diou(predicted: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    low, high = (
        torch.maximum(predicted[:, :2], wanted[:, :2]),
        torch.minimum(predicted[:, 2:], wanted[:, 2:]),
    )
    shared = (high - low).clamp(min=0).prod(1)
    areas = (predicted[:, 2:] - predicted[:, :2]).prod(1) + (wanted[:, 2:] - wanted[:, :2]).prod(1)
    iou = shared / (areas - shared).clamp(min=1e-6)
    hull = torch.maximum(predicted[:, 2:], wanted[:, 2:]) - torch.minimum(
        predicted[:, :2], wanted[:, :2]
    )
    shift = (predicted[:, :2] + predicted[:, 2:] - wanted[:, :2] - wanted[:, 2:]) / 2
    return iou, iou - shift.square().sum(1) / hull.square().sum(1).clamp(min=1e-6)


def _targets(cells: _Cells, targets: Tensor, seen: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
    """Say what each cell of each picture learns: row index, whether, and the wanted score."""
    found = []
    for picture, rows in enumerate(targets):
        rows = rows[: max(1, int((rows[:, 15] > 0).sum()))]  # padding comes last and costs time
        index, learnt = _assign(cells, rows)
        wanted = torch.full_like(cells.stride, torch.nan)
        if seen is not None:
            index, learnt, wanted = _follow(cells, rows, index, learnt, seen[picture])
        found.append((index, learnt, wanted))
    index, learnt, wanted = (torch.stack(part) for part in zip(*found, strict=True))
    return index, learnt, wanted


def detector_loss(
    maps: tuple[Tensor, Tensor, Tensor], targets: Tensor, seen: Tensor | None = None
) -> DetectorLoss:
    """Compare raw ``maps`` (see ``DetectorNet``) with ``targets (N, M, 16)``.

    Args:
        maps: The three raw maps.
        targets: What is to be found, padded at the end.
        seen: A teacher's scores of all cells, ``(N, P)`` in the order of the maps, in [0, 1].
    """
    parts = [split_map(raw.float()) for raw in maps]
    logit = torch.cat([part[0] for part in parts], 1).squeeze(-1)
    distance = torch.cat([part[1] for part in parts], 1)
    offset = torch.cat([part[2] for part in parts], 1)
    cells = _cells([(raw.shape[2], raw.shape[3]) for raw in maps])
    index, learnt, wanted = _targets(cells, targets, seen)
    picture, cell = torch.nonzero(index >= 0, as_tuple=True)
    rows = targets[picture, index[picture, cell]]
    origin, stride = cells.origin[cell], cells.stride[cell, None]
    reach = distance[picture, cell] * stride
    iou, diou = _diou(torch.cat([origin - reach[:, :2], origin + reach[:, 2:]], 1), rows[:, :4])
    quality = torch.zeros_like(logit)
    quality[picture, cell] = iou.detach().clamp(0.3, 1.0)
    quality = torch.where(torch.isnan(wanted), quality, wanted)
    # Quality focal loss; what is easy fades, what is wrong counts in full.
    focal = (quality - logit.detach().sigmoid()).abs().square() * learnt
    weight = quality[picture, cell]
    norm = weight.sum().clamp(min=8.0)
    score = (
        functional.binary_cross_entropy_with_logits(logit, quality, reduction="none") * focal
    ).sum() / norm
    box = ((1 - diou) * weight).sum() / norm
    points = _point_loss(origin.repeat(1, 5) + offset[picture, cell] * stride, rows, weight) / norm
    return DetectorLoss(score + _BOX_WEIGHT * box + _POINT_WEIGHT * points, score, box, points)


def _point_loss(predicted: Tensor, rows: Tensor, weight: Tensor) -> Tensor:
    extent = (rows[:, 2:4] - rows[:, :2]).clamp(min=1e-3).prod(1).sqrt()
    error = (predicted - rows[:, 4:14]) / extent[:, None]
    loss = functional.smooth_l1_loss(
        error, torch.zeros_like(error), reduction="none", beta=_POINT_BETA
    )
    return (loss.mean(1) * rows[:, 14] * weight).sum()
