"""Extension: a track goes on before its first and after its last sighting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.arrays import Float32Array, Float64Array
from streamer.association import box_sides_px, paired_overlaps
from streamer.track_table import Observations

__all__ = ["ExtensionOptions", "absorb_loose", "extension_boxes"]

_SPEED_SPAN_S: Final = 0.3
_MIN_FOR_SPEED: Final = 3


@dataclass(frozen=True, slots=True)
class ExtensionOptions:
    """How far tracks are extended, within their shot.

    Attributes:
        before_s: time covered before the first sighting.
        after_s: time covered after the last sighting.
        weak_s: the same, both ways, for tracks that may be false alarms; as long as two looks may
            be apart, so that a find that blinks leaves no frame between them bare.
        min_frames: frames covered at least, for videos with few frames a second.
        large_ratio: a face higher than this share of the frame does not vanish from one frame to
            the next; it is covered for `large_s`.
        large_s: time for large faces.
        growth_per_s: growth of the box, by its size a second.
        max_growth: limit of that growth.
        slow_down_s: time constant in which an unseen face stops.
        absorb_score: detections from here on keep an extension alive where it expects them.
        absorb_iou: overlap with the expected box that is needed.
        absorb_gate_ratio: or distance of the centres by the size of the box.
    """

    before_s: float = 0.7
    after_s: float = 0.7
    weak_s: float = 0.2
    min_frames: int = 2
    large_ratio: float = 0.5
    large_s: float = 1.5
    growth_per_s: float = 0.6
    max_growth: float = 1.5
    slow_down_s: float = 0.3
    absorb_score: float = 0.15
    absorb_iou: float = 0.25
    absorb_gate_ratio: float = 0.5


def extension_boxes(
    seen_times_s: Float64Array,
    seen_boxes_xyxy_px: Float64Array,
    wanted_s: Float64Array,
    options: ExtensionOptions,
) -> tuple[Float64Array, Float64Array]:
    """Where a face may be, before or after it was seen.

    Args:
        seen_times_s: (N,) times of the sightings next to the extension, the nearest first.
        seen_boxes_xyxy_px: (N, 4) their boxes.
        wanted_s: (M,) times to extend to, all on the same side.
        options: how far and how large.

    Returns:
        Expected boxes (M, 4), and the boxes grown by what is not known (M, 4).
    """
    near = np.abs(seen_times_s - seen_times_s[0]) <= _SPEED_SPAN_S
    centres = (seen_boxes_xyxy_px[:, :2] + seen_boxes_xyxy_px[:, 2:]) / 2
    half = (seen_boxes_xyxy_px[0, 2:] - seen_boxes_xyxy_px[0, :2]) / 2
    speed = np.zeros(2)
    if int(near.sum()) >= _MIN_FOR_SPEED:
        times = seen_times_s[near] - seen_times_s[near].mean()
        speed = (times[:, None] * centres[near]).sum(0) / max(float((times**2).sum()), 1e-9)
    apart = wanted_s - seen_times_s[0]
    slow_down_s = options.slow_down_s
    moved_s = np.sign(apart) * slow_down_s * (1 - np.exp(-np.abs(apart) / slow_down_s))
    centre = centres[0] + speed * moved_s[:, None]
    growth = np.minimum(1 + options.growth_per_s * np.abs(apart), options.max_growth)
    # A face that moved may also have stopped or turned: half of its way is not sure.
    reach = half * growth[:, None] + 0.5 * np.abs(speed * moved_s[:, None])
    expected = np.concatenate([centre - half, centre + half], axis=1)
    return expected, np.concatenate([centre - reach, centre + reach], axis=1)


def absorb_loose(
    seen: Observations,
    loose: Observations,
    times_s: Float64Array,
    shots: NDArray[np.int64],
    options: ExtensionOptions,
    *,
    reach_s: float,
    step: int,
) -> Observations:
    """Follow a track over weak detections beyond its end.

    Args:
        seen: the track, ordered by frame.
        loose: detections of no track, ordered by frame.
        times_s: (F,) time of each frame.
        shots: (F,) shot of each frame.
        options: what counts as the same face.
        reach_s: how long the track may go unseen.
        step: -1 before the first sighting, 1 after the last.

    Returns:
        The track with the detections that continue it.
    """
    last = int(seen.frames[0 if step < 0 else -1])
    order = slice(None, None, -step)
    track_times, track_boxes = times_s[seen.frames][order][:15], seen.boxes_xyxy_px[order][:15]
    found: list[int] = []
    while True:
        end = _reach(last, times_s, shots, options, reach_s=reach_s, step=step)
        low, high = np.searchsorted(loose.frames, sorted((last + max(step, 0), end + max(step, 0))))
        row = _continuing(loose, (int(low), int(high)), track_times, track_boxes, times_s, options)
        if row is None:
            break
        found.append(row)
        last = int(loose.frames[row])
        track_times = np.concatenate([times_s[last : last + 1], track_times])
        track_boxes = np.concatenate([loose.boxes_xyxy_px[row : row + 1], track_boxes])
    return _joined(seen, loose, found, step) if found else seen


def _reach(
    last: int,
    times_s: Float64Array,
    shots: NDArray[np.int64],
    options: ExtensionOptions,
    *,
    reach_s: float,
    step: int,
) -> int:
    """The farthest frame in which a track that was seen in frame ``last`` may go on."""
    frames = np.arange(last + step, len(times_s) if step > 0 else -1, step)
    may = (shots[frames] == shots[last]) & (
        (np.abs(times_s[frames] - times_s[last]) <= reach_s)
        | (np.abs(frames - last) <= options.min_frames)
    )
    return last + step * int(np.logical_and.accumulate(may).sum())


def _continuing(
    loose: Observations,
    rows: tuple[int, int],
    track_times_s: Float64Array,
    track_boxes_xyxy_px: Float32Array,
    times_s: Float64Array,
    options: ExtensionOptions,
) -> int | None:
    """Of some rows of the loose detections, all beyond the track's end, the one that continues it.

    Of several frames the nearest one counts.
    """
    low, high = rows
    if low >= high:
        return None
    boxes = loose.boxes_xyxy_px[low:high]
    frame_s = times_s[loose.frames[low:high]]
    expected, _ = extension_boxes(
        track_times_s, track_boxes_xyxy_px.astype(np.float64), frame_s, options
    )
    overlap = paired_overlaps(expected.astype(np.float32), boxes)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = box_sides_px(expected)
    apart = np.linalg.norm(centres - (expected[:, :2] + expected[:, 2:]) / 2, axis=1) / sides
    ratio = box_sides_px(boxes) / sides
    fits = (overlap >= options.absorb_iou) | (apart <= options.absorb_gate_ratio)
    fits &= (ratio > 0.6) & (ratio < 1.7) & (loose.scores[low:high] >= options.absorb_score)
    if not fits.any():
        return None
    waits_s = np.where(fits, np.abs(frame_s - track_times_s[0]), np.inf)
    fits &= waits_s == waits_s.min()
    return low + int(np.argmax(np.where(fits, overlap - apart, -np.inf)))


def _joined(seen: Observations, loose: Observations, rows: list[int], step: int) -> Observations:
    parts = [
        (part.frames, part.boxes_xyxy_px, part.landmarks_px, part.scores) for part in (seen, loose)
    ]
    added = tuple(column[rows[::step]] for column in parts[1])
    ordered = (added, parts[0]) if step < 0 else (parts[0], added)
    frames, boxes, points, scores = (np.concatenate(pair) for pair in zip(*ordered, strict=True))
    return Observations(frames, boxes, points, scores)
