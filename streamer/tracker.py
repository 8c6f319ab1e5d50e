"""Tracking: detections of one frame after the other become faces with a number."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from engines.arrays import Float32Array
from engines.errors import CoverageError
from engines.types import Detections
from streamer.aligner import AlignerOptions, plausible_landmarks
from streamer.association import box_overlaps, contained_ratios, match_boxes
from streamer.frames import TrackedFace
from streamer.motion import BoxMotion

__all__ = ["Tracker", "TrackerOptions"]


@dataclass(frozen=True, slots=True)
class TrackerOptions:
    """How detections become tracks.

    Attributes:
        start_score: detections from here on start a track and are matched first.
        cover_score: lone detections from here on start a track too, a weak one, which is filled.
        keep_score: detections from here on continue a track.
        max_coast_s: how long a track lives without a detection.
        coast_growth_per_s: growth of the box of a lost face, by its size a second.
        max_coast_growth: limit of that growth.
        min_iou: overlap that lets a detection continue a track.
        gate_ratio: distance of centres, by size, that lets it continue a track.
        gate_growth_per_s: growth of that distance for a lost track.
        max_size_ratio: between a track and a detection that continues it.
        merge_iou: a lost track that overlaps a seen one by this much has been taken over.
        aligner: when landmarks are believed.
    """

    start_score: float = 0.5
    cover_score: float = 0.28
    keep_score: float = 0.2
    max_coast_s: float = 1.5
    coast_growth_per_s: float = 0.6
    max_coast_growth: float = 1.8
    min_iou: float = 0.2
    gate_ratio: float = 0.6
    gate_growth_per_s: float = 0.8
    max_size_ratio: float = 1.8
    merge_iou: float = 0.5
    aligner: AlignerOptions = field(default_factory=AlignerOptions)


@dataclass(slots=True, eq=False)
class _Track:
    track_id: int
    motion: BoxMotion
    last_seen_s: float
    row: int | None  # the detection of this frame; None while lost


class Tracker:
    """Gives each face a number and keeps it through misses, crossings and weak detections.

    Every face is reported at its first sighting, and while it is lost with a growing box. Not
    thread-safe; frames must come in the order of their times.

    Args:
        options: thresholds and limits.
    """

    def __init__(self, options: TrackerOptions) -> None:
        self._options = options
        self._tracks: list[_Track] = []
        self._next_id = 1
        self._time_s: float | None = None

    def update(
        self,
        frame_time_s: float,
        detections: Detections,
        *,
        frame_size_hw: tuple[int, int],
        cut: bool = False,
    ) -> tuple[TrackedFace, ...]:
        """Take in the detections of the next frame.

        Args:
            frame_time_s: presentation time.
            detections: all that the detector found, also below the thresholds.
            frame_size_hw: height and width of the frame in pixels.
            cut: True when this frame begins another shot; all tracks end before it.

        Returns:
            Every face to hide, ordered by track id. The box of a seen face is that of its
            detection, unfiltered; the box of a lost face is predicted and grown.

        Raises:
            CoverageError: a detection is not finite, so nobody knows what to hide.
        """
        if not (
            np.isfinite(detections.boxes_xyxy_px).all() and np.isfinite(detections.scores).all()
        ):
            raise CoverageError("the face detector gave a box or score that is not a number")
        step_s = 0.0 if self._time_s is None else frame_time_s - self._time_s
        self._time_s = frame_time_s
        if cut:
            self._tracks.clear()
        for track in self._tracks:
            track.motion.predict(step_s, is_lost=track.row is None)
            track.row = None
        taken = self._associate(frame_time_s, detections)
        self._start(frame_time_s, detections, taken)
        self._end(frame_time_s, detections, frame_size_hw)
        return self._report(frame_time_s, detections)

    def _associate(self, frame_time_s: float, detections: Detections) -> NDArray[np.bool_]:
        """Continue tracks: first from sure detections, then from weak ones."""
        options, scores = self._options, detections.scores
        taken = np.zeros(len(scores), np.bool_)
        for low, gate_factor in ((options.start_score, 1.0), (options.keep_score, 0.7)):
            rows = np.flatnonzero(~taken & (scores >= low))
            waiting = [track for track in self._tracks if track.row is None]
            if not waiting or not len(rows):
                continue
            lost_s = np.array([frame_time_s - track.last_seen_s for track in waiting])
            gates = options.gate_ratio + options.gate_growth_per_s * np.minimum(lost_s, 1.0)
            pairs = match_boxes(
                np.stack([track.motion.box_xyxy_px() for track in waiting]),
                detections.boxes_xyxy_px[rows],
                gates=gates * gate_factor,
                min_iou=options.min_iou,
                max_size_ratio=options.max_size_ratio,
            )
            for which, found in pairs:
                row, track = int(rows[found]), waiting[which]
                is_certain = bool(scores[row] >= options.start_score)
                track.motion.update(detections.boxes_xyxy_px[row], is_certain=is_certain)
                track.row, track.last_seen_s, taken[row] = row, frame_time_s, True
        return taken

    def _start(self, frame_time_s: float, detections: Detections, taken: NDArray[np.bool_]) -> None:
        """Start a track from every other detection that is sure enough to be covered."""
        rows = np.flatnonzero(~taken & (detections.scores >= self._options.cover_score))
        boxes = detections.boxes_xyxy_px
        for row in rows.tolist():
            box = boxes[row]
            if taken.any() and float(box_overlaps(box[None], boxes[taken]).max()) >= 0.7:
                continue  # the same face twice; the other box covers it
            taken[row] = True
            self._tracks.append(_Track(self._next_id, BoxMotion(box), frame_time_s, row))
            self._next_id += 1

    def _end(
        self, frame_time_s: float, detections: Detections, frame_size_hw: tuple[int, int]
    ) -> None:
        """Forget tracks that were lost too long, left the frame, or were taken over."""
        rows = [track.row for track in self._tracks if track.row is not None]
        seen = detections.boxes_xyxy_px[rows]
        height, width = frame_size_hw
        frame = np.array([[0, 0, width, height]], np.float32)
        alive: list[_Track] = []
        for track in self._tracks:
            if track.row is None:
                box = track.motion.box_xyxy_px()[None]
                lost_s = frame_time_s - track.last_seen_s
                is_gone = float(contained_ratios(box, frame)[0, 0]) < 0.05
                is_taken_over = bool(len(seen)) and (
                    float(box_overlaps(box, seen).max()) >= self._options.merge_iou
                )
                if lost_s > self._options.max_coast_s or is_gone or is_taken_over:
                    continue
            alive.append(track)
        self._tracks = alive

    def _report(self, frame_time_s: float, detections: Detections) -> tuple[TrackedFace, ...]:
        rows = [track.row for track in self._tracks if track.row is not None]
        believed = plausible_landmarks(
            detections.landmarks_px[rows], detections.boxes_xyxy_px[rows], self._options.aligner
        )
        is_believed = dict(zip(rows, believed.tolist(), strict=True))
        faces = []
        for track in self._tracks:
            row = track.row
            if row is None:
                box = self._coasting_box(track, frame_time_s)
                faces.append(TrackedFace(track.track_id, box, None, is_coasting=True))
                continue
            points = detections.landmarks_px[row].copy() if is_believed[row] else None
            box = detections.boxes_xyxy_px[row].copy()
            score = float(detections.scores[row])
            faces.append(TrackedFace(track.track_id, box, points, is_coasting=False, score=score))
        return tuple(faces)

    def _coasting_box(self, track: _Track, frame_time_s: float) -> Float32Array:
        options = self._options
        growth = 1.0 + options.coast_growth_per_s * (frame_time_s - track.last_seen_s)
        return track.motion.box_xyxy_px(min(growth, options.max_coast_growth))
