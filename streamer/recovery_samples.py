"""Samples of a recovery: small pictures of each face, anonymised and brought back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np

from engines.arrays import Float32Array, Float64Array, UInt8Array
from streamer.color import crop_rgb
from streamer.frames import ColorSpec, Frame
from streamer.key_log import Face
from streamer.recovery_log import PlacedRecords
from streamer.recovery_placement import Placed
from streamer.restorer import RecoveredFrame

__all__ = ["SAMPLE_PX", "Sample", "Sampler", "TrackTimes"]

SAMPLE_PX: Final = 160
# Forehead, chin and a little of what is around the face.
_MARGIN_RATIO: Final = 1.5


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One face in one frame.

    Attributes:
        track_id: whose.
        time_s: in the file's time.
        placed: where in the recording the frame belongs.
        size_px: width and height of the face's box in the frame.
        anonymised: (160, 160, 3) uint8 RGB, cut from the given video.
        recovered: (160, 160, 3) uint8 RGB, the same place after recovery.
    """

    track_id: int
    time_s: float
    placed: Placed
    size_px: tuple[int, int]
    anonymised: UInt8Array
    recovered: UInt8Array


@dataclass(slots=True)
class TrackTimes:
    """When a track was brought back, in the file's time.

    Attributes:
        first_s: first frame.
        last_s: last frame.
        frames: number of frames.
        proven: of these placed by a digest.
    """

    first_s: float
    last_s: float
    frames: int = 0
    proven: int = 0


class Sampler:
    """Picks a few moments of each track, evenly over the time that it is in the log.

    Not thread-safe; `wants` and `take` are called in the order of the frames.

    Args:
        per_track: most pictures of one track.
        most_tracks: tracks beyond this number are counted but not pictured.
    """

    def __init__(self, *, per_track: int = 6, most_tracks: int = 100) -> None:
        self._per_track = per_track
        self._most_tracks = most_tracks
        self._due_s: dict[int, list[Fraction]] = {}
        self._quarter_turns = 0
        self.samples: list[Sample] = []
        self.tracks: dict[int, TrackTimes] = {}

    def plan(self, spans_s: Mapping[int, tuple[Fraction, Fraction]], *, rotation_deg: int) -> None:
        """Say what is to come.

        Args:
            spans_s: from when to when each track may be seen, in seconds of the log's time.
            rotation_deg: by which players turn the video, counter-clockwise.
        """
        self._quarter_turns = rotation_deg // 90 % 4
        for track_id in sorted(spans_s)[: self._most_tracks]:
            first_s, last_s = spans_s[track_id]
            step_s = (last_s - first_s) / self._per_track
            # The middle of each of the parts: a track's first and last frames are its worst.
            self._due_s[track_id] = [
                first_s + step_s * number + step_s / 2 for number in range(self._per_track)
            ][::-1]

    def wants(self, records: PlacedRecords, faces: Iterable[Face]) -> tuple[Face, ...]:
        """Which faces of a frame are to be pictured; also counts them all."""
        wanted: list[Face] = []
        time_s = records.placed.log_s
        for face in faces:
            due = self._due_s.get(face.track_id, [])
            if time_s is None or not due or due[-1] > time_s:
                continue
            while due and due[-1] <= time_s:
                due.pop()
            wanted.append(face)
        return tuple(wanted)

    def count(self, frame: Frame, records: PlacedRecords, track_ids: Iterable[int]) -> None:
        """Note which tracks are brought back in a frame."""
        time_s = float(frame.pts * frame.time_base)
        for track_id in set(track_ids):
            times = self.tracks.setdefault(track_id, TrackTimes(time_s, time_s))
            times.last_s = time_s
            times.frames += 1
            times.proven += records.placed.how == "proven"

    def take(
        self,
        frame: Frame,
        recovered: RecoveredFrame,
        records: PlacedRecords,
        faces: Sequence[Face],
    ) -> None:
        """Cut the pictures of some faces."""
        for face in faces:
            matrix = _crop_matrix(face.box_xyxy_px)
            x1, y1, x2, y2 = face.box_xyxy_px.tolist()
            self.samples.append(
                Sample(
                    face.track_id,
                    float(frame.pts * frame.time_base),
                    records.placed,
                    (round(x2 - x1), round(y2 - y1)),
                    self._cut(frame.pixels, frame.color, matrix),
                    self._cut(recovered.pixels, recovered.color, matrix),
                )
            )

    def _cut(
        self, pixels: UInt8Array, color: ColorSpec, frame_from_crop: Float64Array
    ) -> UInt8Array:
        picture = crop_rgb(pixels, color, frame_from_crop, SAMPLE_PX)
        return np.ascontiguousarray(np.rot90(picture, self._quarter_turns))


def _crop_matrix(box_xyxy_px: Float32Array) -> Float64Array:
    """frame_from_crop of a square around a box."""
    x1, y1, x2, y2 = (float(value) for value in box_xyxy_px)
    side = max(x2 - x1, y2 - y1, 8.0) * _MARGIN_RATIO
    scale = side / SAMPLE_PX
    left, top = (x1 + x2 - side) / 2, (y1 + y2 - side) / 2
    return np.array([[scale, 0.0, left], [0.0, scale, top]])
