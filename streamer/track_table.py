"""The track table: what detector and tracker saw in each frame, in columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from engines.arrays import Float32Array, Float64Array
from engines.types import Detections
from streamer.frames import TrackedFace

__all__ = ["Observations", "TrackTable"]

_COLUMNS: Final = 15  # box, five points, score
_FIRST_CAPACITY: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class Observations:
    """Faces as the detector saw them, ordered by frame.

    Attributes:
        frames: (N,) int64, counted from the first frame of the table.
        boxes_xyxy_px: (N, 4) float32.
        landmarks_px: (N, 5, 2) float32, NaN where unknown or implausible.
        scores: (N,) float32.
    """

    frames: NDArray[np.int64]
    boxes_xyxy_px: Float32Array
    landmarks_px: Float32Array
    scores: Float32Array

    def __len__(self) -> int:
        return len(self.frames)


def _face_row(face: TrackedFace) -> Float32Array:
    points = face.landmarks_px
    flat = np.full(10, np.nan, np.float32) if points is None else points.ravel()
    return np.concatenate([face.box_xyxy_px, flat, np.array([face.score], np.float32)])


class _Rows:
    """Growing columns: frame, track and `_COLUMNS` numbers a row."""

    def __init__(self) -> None:
        self._keys = np.zeros((_FIRST_CAPACITY, 2), np.int64)
        self._values = np.zeros((_FIRST_CAPACITY, _COLUMNS), np.float32)
        self._count = 0

    def append(self, frame: int, track_ids: Sequence[int], values: Float32Array) -> None:
        """Add rows (N, `_COLUMNS`) of one frame."""
        end = self._count + len(values)
        if end > len(self._keys):
            room = max(len(self._keys), end - len(self._keys))
            self._keys = np.concatenate([self._keys, np.zeros((room, 2), np.int64)])
            self._values = np.concatenate([self._values, np.zeros((room, _COLUMNS), np.float32)])
        self._keys[self._count : end, 0] = frame
        self._keys[self._count : end, 1] = track_ids
        self._values[self._count : end] = values
        self._count = end

    @property
    def frames(self) -> NDArray[np.int64]:
        return self._keys[: self._count, 0]

    @property
    def track_ids(self) -> NDArray[np.int64]:
        return self._keys[: self._count, 1]

    def forget(self, count: int) -> None:
        """Drop the first frames; the others move down."""
        start = int(np.searchsorted(self.frames, count))
        self._keys[: self._count - start] = self._keys[start : self._count]
        self._values[: self._count - start] = self._values[start : self._count]
        self._count -= start
        self._keys[: self._count, 0] -= count

    def take(self, rows: NDArray[np.int64] | slice) -> Observations:
        values = self._values[: self._count][rows]
        return Observations(
            self.frames[rows], values[:, :4], values[:, 4:14].reshape(-1, 5, 2), values[:, 14]
        )


class TrackTable:
    """Everything needed to plan a recording, about 80 bytes a face and frame.

    One thread appends; the reading methods may be called once it is done.
    """

    def __init__(self) -> None:
        self._seen = _Rows()
        self._loose = _Rows()
        self._times_s: list[float] = []
        self._shots: list[int] = []
        self._sizes_hw: list[tuple[int, int]] = []
        self._strength: dict[int, tuple[int, float]] = {}

    def __len__(self) -> int:
        return len(self._times_s)

    def append(
        self,
        frame_time_s: float,
        faces: tuple[TrackedFace, ...],
        detections: Detections,
        *,
        frame_size_hw: tuple[int, int],
        cut: bool = False,
    ) -> None:
        """Add the next frame.

        Args:
            frame_time_s: presentation time.
            faces: what `Tracker.update` returned.
            detections: what it was given; those of no track are kept too.
            frame_size_hw: height and width of the frame in pixels.
            cut: True when this frame begins another shot.
        """
        frame = len(self._times_s)
        self._shots.append((self._shots[-1] if self._shots else 0) + int(cut))
        self._times_s.append(frame_time_s)
        self._sizes_hw.append(frame_size_hw)
        seen = [face for face in faces if not face.is_coasting]
        for face in seen:
            count, best = self._strength.get(face.track_id, (0, 0.0))
            self._strength[face.track_id] = count + 1, max(best, face.score)
        if seen:
            ids = [face.track_id for face in seen]
            self._seen.append(frame, ids, np.stack([_face_row(face) for face in seen]))
        # The tracker passes boxes on as they are, so equal bytes are the same detection.
        tracked = {face.box_xyxy_px.tobytes() for face in seen}
        rows = [i for i, box in enumerate(detections.boxes_xyxy_px) if box.tobytes() not in tracked]
        if rows:
            columns = (
                detections.boxes_xyxy_px[rows],
                detections.landmarks_px[rows].reshape(-1, 10),
                detections.scores[rows, None],
            )
            self._loose.append(frame, [0] * len(rows), np.concatenate(columns, axis=1))

    def forget(self, count: int) -> None:
        """Drop the first frames, for a window that slides; the others are counted from 0 again."""
        del self._times_s[:count], self._shots[:count], self._sizes_hw[:count]
        self._seen.forget(count)
        self._loose.forget(count)
        present = set(self._seen.track_ids.tolist())
        self._strength = {key: value for key, value in self._strength.items() if key in present}

    @property
    def times_s(self) -> Float64Array:
        """(F,) presentation time of each frame."""
        return np.array(self._times_s, np.float64)

    @property
    def shots(self) -> NDArray[np.int64]:
        """(F,) number of the shot of each frame; it never falls."""
        return np.array(self._shots, np.int64)

    @property
    def sizes_hw(self) -> NDArray[np.int64]:
        """(F, 2) height and width of each frame."""
        return np.array(self._sizes_hw, np.int64).reshape(-1, 2)

    def strength(self, track_id: int) -> tuple[int, float]:
        """How often a track was seen, and its best score."""
        return self._strength[track_id]

    def tracks(self) -> Iterator[tuple[int, Observations]]:
        """Each track id, in order, with what was seen of it."""
        ids = self._seen.track_ids
        order = np.argsort(ids, kind="stable")
        for rows in np.split(order, np.flatnonzero(np.diff(ids[order])) + 1):
            if len(rows):
                yield int(ids[rows[0]]), self._seen.take(rows)

    def loose(self) -> Observations:
        """Detections that no track took, weak ones included; copies nothing."""
        return self._loose.take(slice(None))
