"""Look-back: a plan for each frame that also knows what came after it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from engines.types import Detections
from streamer.association import contained_ratios
from streamer.frames import TrackedFace
from streamer.look_back_options import LookBackOptions
from streamer.plan import FramePlan, PlanTable
from streamer.track_plan import Timeline, TrackPlan, plan_track
from streamer.track_table import TrackTable

__all__ = ["LookBack", "LookBackOptions", "finalise"]

_T = TypeVar("_T", bound=np.generic)


def finalise(
    table: TrackTable,
    options: LookBackOptions,
    *,
    identities: Mapping[int, int] | None = None,
    only_frame: int | None = None,
) -> PlanTable:
    """Turn what was seen into what is done.

    Args:
        table: the whole recording, or a window of it.
        options: how.
        identities: track id to the id of the track whose identity it gets; itself if missing.
        only_frame: plan this frame of the table only; the others are left empty.

    Returns:
        One plan for each frame of the table.
    """
    timeline = Timeline(table.times_s, table.shots, table.sizes_hw)
    loose = table.loose()
    plans: dict[int, TrackPlan] = {}
    for track_id, seen in table.tracks():
        strength = table.strength(track_id)
        plans[track_id] = plan_track(
            seen,
            loose,
            timeline,
            options,
            is_weak=options.is_weak(*strength),
            is_replaced=options.is_replaced(*strength),
            only_frame=only_frame,
        )
    return _as_table(len(table), plans, identities or {}, options, only_frame)


def _as_table(
    frame_count: int,
    plans: Mapping[int, TrackPlan],
    identities: Mapping[int, int],
    options: LookBackOptions,
    only_frame: int | None,
) -> PlanTable:
    lengths = [len(plan.frames) for plan in plans.values()]
    ids = np.repeat(np.array(list(plans), np.int64), lengths)
    named = np.array([identities.get(track_id, track_id) for track_id in plans], np.int64)
    named = np.repeat(named, lengths)
    weak = np.repeat(np.array([plan.is_weak for plan in plans.values()], np.bool_), lengths)
    frames = _column(np.zeros(0, np.int64), (plan.frames for plan in plans.values()))
    boxes = _column(np.zeros((0, 4)), (plan.boxes_xyxy_px for plan in plans.values()))
    cover = _column(np.zeros((0, 4)), (plan.cover_xyxy_px for plan in plans.values()))
    transforms = _column(np.zeros((0, 2, 3)), (plan.frame_from_crop for plan in plans.values()))
    seen = _column(np.zeros(0, np.bool_), (plan.is_seen for plan in plans.values()))
    extended = _column(np.zeros(0, np.bool_), (plan.is_extended for plan in plans.values()))
    keep = np.ones(len(frames), np.bool_) if only_frame is None else frames == only_frame
    rows = np.flatnonzero(keep)
    guess = (extended | weak)[rows]
    sure = (seen & ~weak)[rows]
    hidden = _hidden(frames[rows], boxes[rows], guess, sure, options.hidden_ratio)
    rows = rows[~hidden]
    return PlanTable(
        frame_count,
        frames=frames[rows],
        track_ids=ids[rows],
        identity_ids=named[rows],
        boxes_xyxy_px=cover[rows].astype(np.float32),
        frame_from_crop=transforms[rows],
        is_coasting=~seen[rows],
    )


def _column(empty: NDArray[_T], parts: Iterable[NDArray[_T]]) -> NDArray[_T]:
    return np.concatenate([empty, *parts])


def _hidden(
    frames: NDArray[np.int64],
    boxes: NDArray[np.float64],
    guess: NDArray[np.bool_],
    sure: NDArray[np.bool_],
    hidden_ratio: float,
) -> NDArray[np.bool_]:
    """Guessed boxes that lie inside a face which is seen in the same frame, and covered."""
    hidden = np.zeros(len(frames), np.bool_)
    order = np.argsort(frames, kind="stable")
    starts = np.flatnonzero(np.diff(frames[order], prepend=-1))
    for rows in np.split(order, starts[1:]):
        mine, others = rows[guess[rows]], rows[sure[rows]]
        if len(mine) and len(others):
            ratio = contained_ratios(
                boxes[mine].astype(np.float32), boxes[others].astype(np.float32)
            )
            hidden[mine] = ratio.max(1) >= hidden_ratio
    return hidden


class LookBack:
    """The same for a live source: frames leave a few frames later than they come.

    A face first seen in frame n is thereby covered in the frames before n as well, as far as frames
    are held, and the smoothing knows what comes next. Not thread-safe.

    Args:
        options: how; the time after the last sighting should be that for which the tracker keeps
            a lost track, since a live source cannot know whether the face comes back.
        history_s: how much of the past is kept; at least the time of the extension.
    """

    def __init__(self, options: LookBackOptions, *, history_s: float = 2.0) -> None:
        self._options = options
        self._history_s = history_s
        self._table = TrackTable()
        self._pending = 0

    def __len__(self) -> int:
        """How many frames are held."""
        return self._pending

    def add(
        self,
        frame_time_s: float,
        faces: tuple[TrackedFace, ...],
        detections: Detections,
        *,
        frame_size_hw: tuple[int, int],
        cut: bool = False,
    ) -> None:
        """Take in the next frame; see `TrackTable.append`."""
        self._table.append(frame_time_s, faces, detections, frame_size_hw=frame_size_hw, cut=cut)
        self._pending += 1

    def is_replaced(self, track_id: int) -> bool:
        """Whether a track that was seen lately gets a new face by what is known of it so far."""
        return self._options.is_replaced(*self._table.strength(track_id))

    def release(self, identities: Mapping[int, int] | None = None) -> FramePlan:
        """The plan of the oldest frame that is held; there must be one."""
        if not self._pending:
            raise ValueError("no frame is held")
        frame = len(self._table) - self._pending
        plans = finalise(self._table, self._options, identities=identities, only_frame=frame)
        self._pending -= 1
        times_s = self._table.times_s
        old = int(np.searchsorted(times_s, times_s[frame] - self._history_s))
        if old:
            self._table.forget(old)
        return plans[frame]

    def flush(self, identities: Mapping[int, int] | None = None) -> list[FramePlan]:
        """The plans of the frames still held, in order, at the end of the source."""
        return [self.release(identities) for _ in range(self._pending)]
