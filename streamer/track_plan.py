"""The plan of one track: covered frames, smooth boxes and transforms, and what is done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.arrays import Float64Array
from streamer.aligner import plausible_landmarks, similarities_from_landmarks
from streamer.association import box_sides_px, contained_ratios
from streamer.extension import absorb_loose, extension_boxes
from streamer.look_back_options import LookBackOptions
from streamer.mask_cover import hidden_ratios
from streamer.smoothing import fill_gaps, longest_runs_only, smooth
from streamer.track_table import Observations

__all__ = ["Timeline", "TrackPlan", "plan_track"]

_INTERPOLATED_WEIGHT: Final = 0.2
_NEAR_S: Final = 0.5  # what lies farther away has no say in the smoothing of a frame


@dataclass(frozen=True, slots=True, eq=False)
class Timeline:
    """The frames of a recording or window.

    Attributes:
        times_s: (F,) float64.
        shots: (F,) int64.
        sizes_hw: (F, 2) int64.
    """

    times_s: Float64Array
    shots: NDArray[np.int64]
    sizes_hw: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TrackPlan:
    """One track, one row a frame, ordered by frame.

    Attributes:
        frames: (N,) int64.
        boxes_xyxy_px: (N, 4) float64 detected or estimated box.
        cover_xyxy_px: (N, 4) float64 region to fill, with margins and growth.
        frame_from_crop: (N, 2, 3) float64, NaN where filled.
        is_seen: (N,) bool, the detector saw the face in this frame.
        is_extended: (N,) bool, before the first or after the last sighting.
        is_weak: the whole track may be a false alarm.
    """

    frames: NDArray[np.int64]
    boxes_xyxy_px: Float64Array
    cover_xyxy_px: Float64Array
    frame_from_crop: Float64Array
    is_seen: NDArray[np.bool_]
    is_extended: NDArray[np.bool_]
    is_weak: bool


def plan_track(
    seen: Observations,
    loose: Observations,
    timeline: Timeline,
    options: LookBackOptions,
    *,
    is_weak: bool,
    is_replaced: bool,
    only_frame: int | None = None,
) -> TrackPlan:
    """Plan one track.

    Args:
        seen: its sightings, ordered by frame, all in one shot.
        loose: detections of no track, which may continue it.
        timeline: the frames.
        options: how.
        is_weak: it may be a false alarm, and is filled in few frames around its sightings.
        is_replaced: it gets a new face where that hides the old one.
        only_frame: other frames may be left out, to save time.
    """
    extension = options.extension
    before_s = extension.weak_s if is_weak else extension.before_s
    after_s = extension.weak_s if is_weak else extension.after_s
    wanted = _wanted_parts(seen, only_frame)
    for part, reach_s in ((-1, before_s), (1, after_s)):
        if part in wanted:
            times_s, shots = timeline.times_s, timeline.shots
            seen = absorb_loose(seen, loose, times_s, shots, extension, reach_s=reach_s, step=part)
    # Weak detections may have brought the frame inside.
    wanted = _wanted_parts(seen, only_frame)
    parts = []
    for part, reach_s in ((-1, before_s), (0, 0.0), (1, after_s)):
        if part in wanted and part == 0:
            if only_frame is not None:
                seen = _near(seen, timeline.times_s, only_frame)
            parts.append(_plan_inside(seen, timeline.times_s, options, is_replaced=is_replaced))
        elif part in wanted:
            parts.append(_plan_extension(seen, timeline, options, reach_s=reach_s, step=part))
    return _joined(parts, is_weak)


def _wanted_parts(seen: Observations, only_frame: int | None) -> tuple[int, ...]:
    """Which of before (-1), inside (0) and after (1) the sightings must be planned."""
    if only_frame is None:
        return -1, 0, 1
    return (int(only_frame > seen.frames[-1]) - int(only_frame < seen.frames[0]),)


def _near(seen: Observations, times_s: Float64Array, frame: int) -> Observations:
    """The sightings around a frame, with at least one on each side if there is."""
    around_s = times_s[seen.frames] - times_s[frame]
    low = min(np.searchsorted(around_s, -_NEAR_S), np.searchsorted(around_s, 0.0, "right") - 1)
    high = max(np.searchsorted(around_s, _NEAR_S, "right"), np.searchsorted(around_s, 0.0) + 1)
    rows = slice(max(int(low), 0), int(high))
    return Observations(
        seen.frames[rows], seen.boxes_xyxy_px[rows], seen.landmarks_px[rows], seen.scores[rows]
    )


def _joined(parts: list[TrackPlan], is_weak: bool) -> TrackPlan:
    return TrackPlan(
        np.concatenate([part.frames for part in parts]),
        np.concatenate([part.boxes_xyxy_px for part in parts]),
        np.concatenate([part.cover_xyxy_px for part in parts]),
        np.concatenate([part.frame_from_crop for part in parts]),
        np.concatenate([part.is_seen for part in parts]),
        np.concatenate([part.is_extended for part in parts]),
        is_weak,
    )


def _with_margin(
    boxes: Float64Array, growth: Float64Array, options: LookBackOptions
) -> Float64Array:
    """Enlarge (N, 4) boxes so that chin, ears and forehead are hidden too."""
    sizes = boxes[:, 2:] - boxes[:, :2]
    extra = (options.margin_ratio + (growth[:, None] - 1) / 2) * sizes
    return np.concatenate([boxes[:, :2] - extra, boxes[:, 2:] + extra], axis=1)


def _time_to_nearest(known_s: Float64Array, wanted_s: Float64Array) -> tuple[Float64Array, ...]:
    """Time to the known instant before and after each wanted one; infinite where there is none."""
    edges = np.concatenate([[-np.inf], known_s, [np.inf]])
    right = np.searchsorted(known_s, wanted_s, side="left") + 1
    exact = np.isin(wanted_s, known_s)
    return (
        np.where(exact, 0.0, wanted_s - edges[right - 1]),
        np.where(exact, 0.0, edges[right] - wanted_s),
    )


def _plan_inside(
    seen: Observations, all_times_s: Float64Array, options: LookBackOptions, *, is_replaced: bool
) -> TrackPlan:
    """From the first to the last sighting: gaps closed, boxes and transforms smoothed."""
    frames = np.arange(seen.frames[0], seen.frames[-1] + 1)
    times_s, seen_s = all_times_s[frames], all_times_s[seen.frames]
    is_seen = np.isin(frames, seen.frames)
    raw = fill_gaps(seen_s, seen.boxes_xyxy_px.astype(np.float64), times_s)
    sides = box_sides_px(raw)
    weights = np.where(is_seen, 1.0, _INTERPOLATED_WEIGHT)
    boxes = smooth(times_s, raw, weights, sides, options.smoothing)
    boxes[:, 2:] = np.maximum(boxes[:, 2:], boxes[:, :2] + 1.0)
    before_s, after_s = _time_to_nearest(seen_s, times_s)
    growth = 1 + options.gap_growth_per_s * np.minimum(before_s, after_s)
    # Smoothing may pull a box off the face; where it was seen, it stays covered.
    low, high = np.minimum(boxes[:, :2], raw[:, :2]), np.maximum(boxes[:, 2:], raw[:, 2:])
    cover = _with_margin(np.concatenate([low, high], axis=1), growth, options)
    transforms = np.full((len(frames), 2, 3), np.nan)
    if is_replaced:
        transforms = _transforms(seen, times_s, boxes, raw, options)
    return TrackPlan(
        frames, boxes, cover, transforms, is_seen, np.zeros(len(frames), np.bool_), False
    )


def _transforms(
    seen: Observations,
    times_s: Float64Array,
    boxes: Float64Array,
    raw: Float64Array,
    options: LookBackOptions,
) -> Float64Array:
    """(N, 2, 3) smooth transforms of the frames in which the face is replaced; NaN in others."""
    nothing = np.full((len(times_s), 2, 3), np.nan)
    seen_s = times_s[seen.frames - seen.frames[0]]
    seen_boxes = seen.boxes_xyxy_px.astype(np.float64)
    known = plausible_landmarks(seen.landmarks_px, seen_boxes, options.aligner)
    if not known.any():
        return nothing
    # Inside a gap the landmarks go with the box, so they are interpolated by their place in it.
    corner, size = seen_boxes[known, None, :2], box_sides_px(seen_boxes[known])[:, None, None]
    placed = (seen.landmarks_px[known] - corner) / size
    relative = fill_gaps(seen_s[known], placed.reshape(-1, 10), times_s).reshape(-1, 5, 2)
    sides = box_sides_px(boxes)
    points = relative * sides[:, None, None] + boxes[:, None, :2]
    before_s, after_s = _time_to_nearest(seen_s[known], times_s)
    is_known = before_s == 0.0
    rows = np.searchsorted(seen_s[known], times_s[is_known])
    points[is_known] = seen.landmarks_px[known][rows]
    weights = np.where(is_known, 1.0, _INTERPOLATED_WEIGHT)
    points = smooth(times_s, points.reshape(-1, 10), weights, sides, options.smoothing)
    points = points.reshape(-1, 5, 2)
    fits = plausible_landmarks(points, boxes, options.aligner)
    fits &= before_s + after_s <= options.max_replace_gap_s
    fits &= _steady(sides >= options.keep_face_px, sides >= options.min_face_px)
    transforms = similarities_from_landmarks(points, options.crop_size_px)
    hidden = hidden_ratios(transforms, raw, options.crop_size_px)
    fits &= _steady(hidden >= options.keep_hidden_ratio, hidden >= options.min_hidden_ratio)
    fits = longest_runs_only(fits, times_s, options.min_replace_s)
    return np.where(fits[:, None, None], transforms, nothing)


def _steady(may: NDArray[np.bool_], must: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Runs of `may` that hold a `must`: two limits, so that a face at the limit does not flap."""
    runs = np.cumsum(np.concatenate([[True], may[1:] != may[:-1]])) - 1
    touches = np.bincount(runs, weights=must.astype(np.float64)) > 0
    return np.asarray(may & touches[runs])


def _plan_extension(
    seen: Observations,
    timeline: Timeline,
    options: LookBackOptions,
    *,
    reach_s: float,
    step: int,
) -> TrackPlan:
    """Before the first (step -1) or after the last (step 1) sighting: a growing filled box."""
    times_s, extension = timeline.times_s, options.extension
    end = int(seen.frames[0 if step < 0 else -1])
    box = seen.boxes_xyxy_px[0 if step < 0 else -1]
    if box[3] - box[1] > extension.large_ratio * timeline.sizes_hw[end, 0]:
        reach_s = max(reach_s, extension.large_s)
    reach_s += 1e-9  # times are sums of steps
    low, high = np.searchsorted(times_s, [times_s[end] - reach_s, times_s[end] + reach_s])
    low, high = min(low, end - extension.min_frames), max(high, end + 1 + extension.min_frames)
    frames = np.arange(max(low, 0), end) if step < 0 else np.arange(end + 1, high)
    frames = frames[frames < len(times_s)]
    frames = frames[timeline.shots[frames] == timeline.shots[end]]
    order = slice(None, None, -step)
    near = slice(None, 15)
    expected, grown = extension_boxes(
        times_s[seen.frames][order][near],
        seen.boxes_xyxy_px[order][near].astype(np.float64),
        times_s[frames],
        extension,
    )
    height, width = timeline.sizes_hw[end].tolist()
    picture = np.array([[0, 0, width, height]], np.float32)
    is_inside = contained_ratios(grown.astype(np.float32), picture)[:, 0] > 0.05
    # Once it has left the picture it stays out.
    outwards = is_inside[::step]
    is_inside = np.logical_and.accumulate(outwards)[::step] if len(outwards) else is_inside
    frames, expected, grown = frames[is_inside], expected[is_inside], grown[is_inside]
    count = len(frames)
    return TrackPlan(
        frames,
        expected,
        _with_margin(grown, np.ones(count), options),
        np.full((count, 2, 3), np.nan),
        np.zeros(count, np.bool_),
        np.ones(count, np.bool_),
        False,
    )
