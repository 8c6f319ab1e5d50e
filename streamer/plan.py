"""The plan of a recording: what is done to which face in each frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, overload

import numpy as np
from numpy.typing import NDArray

from engines.arrays import Float32Array, Float64Array, require_array

__all__ = ["FaceAction", "FramePlan", "PlanTable", "PlannedFace"]

FaceAction: TypeAlias = Literal["replace", "fill"]


@dataclass(frozen=True, slots=True, eq=False)
class PlannedFace:
    """What is done to one face of one frame.

    Attributes:
        track_id: number of the track, from 1.
        identity_id: number of the track whose synthetic identity the face gets.
        box_xyxy_px: (4,) float32 region that hides the whole face when it is filled, margins
            included; may reach outside the frame.
        frame_from_crop: (2, 3) float64, maps crop pixels to frame pixels; None when filled.
        is_coasting: True when the detector did not see the face in this frame.
        action: "replace" by a synthetic face, or "fill" the box.
    """

    track_id: int
    identity_id: int
    box_xyxy_px: Float32Array
    frame_from_crop: Float64Array | None
    is_coasting: bool
    action: FaceAction

    def __post_init__(self) -> None:
        require_array("box_xyxy_px", self.box_xyxy_px, (4,), np.float32)
        if (self.action == "replace") != (self.frame_from_crop is not None):
            raise ValueError("a face is replaced with a transform and filled without one")
        if self.frame_from_crop is not None:
            require_array("frame_from_crop", self.frame_from_crop, (2, 3), np.float64)


FramePlan: TypeAlias = tuple[PlannedFace, ...]


class PlanTable(Sequence[FramePlan]):
    """The plans of all frames of a recording, in columns: about 90 bytes a face and frame.

    Read-only after it was made, so threads may share it.

    Args:
        frame_count: number of frames of the recording.
        frames: (N,) int frame of each row.
        track_ids: (N,) int.
        identity_ids: (N,) int.
        boxes_xyxy_px: (N, 4) float32.
        frame_from_crop: (N, 2, 3) float64, NaN where filled.
        is_coasting: (N,) bool.
    """

    def __init__(
        self,
        frame_count: int,
        *,
        frames: NDArray[np.int64],
        track_ids: NDArray[np.int64],
        identity_ids: NDArray[np.int64],
        boxes_xyxy_px: Float32Array,
        frame_from_crop: Float64Array,
        is_coasting: NDArray[np.bool_],
    ) -> None:
        order = np.lexsort((track_ids, frames))
        self._starts = np.searchsorted(frames[order], np.arange(frame_count + 1))
        self._track_ids = track_ids[order].astype(np.int32)
        self._identity_ids = identity_ids[order].astype(np.int32)
        self._boxes = boxes_xyxy_px[order].astype(np.float32)
        self._transforms = frame_from_crop[order].astype(np.float64)
        self._is_coasting = is_coasting[order]

    def __len__(self) -> int:
        return len(self._starts) - 1

    @overload
    def __getitem__(self, index: int) -> FramePlan: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[FramePlan]: ...

    def __getitem__(self, index: int | slice) -> FramePlan | Sequence[FramePlan]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError("no such frame in this plan")
        index %= len(self)
        rows = range(int(self._starts[index]), int(self._starts[index + 1]))
        return tuple(self._face(row) for row in rows)

    def __iter__(self) -> Iterator[FramePlan]:
        return (self[i] for i in range(len(self)))

    def identities(self) -> dict[int, int]:
        """Track -> the identity that its faces get, of every track."""
        pairs = np.unique(np.stack([self._track_ids, self._identity_ids], axis=1), axis=0)
        return {int(track): int(identity) for track, identity in pairs}

    def replaced_identities(self) -> dict[int, int]:
        """Identity -> its faces that are drawn; of all others every face is filled."""
        is_replaced = ~np.isnan(self._transforms[:, 0, 0])
        found, counts = np.unique(self._identity_ids[is_replaced], return_counts=True)
        return {int(key): int(count) for key, count in zip(found, counts, strict=True)}

    def _face(self, row: int) -> PlannedFace:
        is_filled = bool(np.isnan(self._transforms[row, 0, 0]))
        return PlannedFace(
            track_id=int(self._track_ids[row]),
            identity_id=int(self._identity_ids[row]),
            box_xyxy_px=self._boxes[row].copy(),
            frame_from_crop=None if is_filled else self._transforms[row].copy(),
            is_coasting=bool(self._is_coasting[row]),
            action="fill" if is_filled else "replace",
        )
