"""Best crops: the few views of each track that say who it is, and what its new face is tried on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from engines.arrays import Float64Array, UInt8Array
from streamer.aligner import (
    CANVAS_PX,
    ENCODER_PX,
    encoder_crop,
    encoder_views,
    face_size_px,
    invert_similarity,
    similarities_from_landmarks,
    transform_points,
)
from streamer.color import crop_rgb
from streamer.frames import Frame, TrackedFace

__all__ = ["BestCrops", "BestCropsOptions", "sharpness_ratio", "view_quality"]

# Variance of the Laplacian of a sharp 112 px face; blurred ones lie below 20.
_SHARP_VARIANCE: Final = 300.0
_MAX_YAW_RATIO: Final = 0.4


@dataclass(frozen=True, slots=True)
class BestCropsOptions:
    """How many views are kept, and which.

    Attributes:
        views: number of views a track, of 77 kB each.
        spacing_s: views nearer in time than this compete for one place.
        min_gain_ratio: a view must be better by this much to be cut out at all.
        min_face_px: smaller faces are used only while a track has no other view.
    """

    views: int = 4
    spacing_s: float = 0.3
    min_gain_ratio: float = 0.05
    min_face_px: float = 16.0


@dataclass(frozen=True, slots=True, eq=False)
class _View:
    time_s: float
    quality: float  # by size, pose and score
    value: float  # and by sharpness
    canvas: UInt8Array


def _canvas_transform(face: TrackedFace) -> Float64Array | None:
    """frame_from_crop of the 160 px canvas, or None without landmarks."""
    if face.landmarks_px is None:
        return None
    transform = similarities_from_landmarks(face.landmarks_px[None], CANVAS_PX).reshape(2, 3)
    return transform if np.isfinite(transform).all() else None


def view_quality(face: TrackedFace, frame_from_crop: Float64Array) -> float:
    """How much a view says about who it is, by size, pose and score: 0 to 1.

    Args:
        face: a face with landmarks.
        frame_from_crop: (2, 3) transform of its 112 px crop.
    """
    if face.landmarks_px is None:
        return 0.0
    side = float(face_size_px(frame_from_crop, CANVAS_PX)) * CANVAS_PX / ENCODER_PX
    size_ratio = min(side / CANVAS_PX, 1.0) ** 0.5
    points = transform_points(invert_similarity(frame_from_crop), face.landmarks_px)
    yaw_ratio = abs(float(points[2, 0] - points[[0, 1, 3, 4], 0].mean())) / ENCODER_PX
    return float(size_ratio * max(1.0 - yaw_ratio / _MAX_YAW_RATIO, 0.05) * face.score)


def sharpness_ratio(crop: UInt8Array) -> float:
    """0 for a blurred crop (S, S, 3) uint8 RGB, 1 for a sharp one."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    variance = float(cv2.Laplacian(grey, cv2.CV_32F).var())
    return float(min(variance / _SHARP_VARIANCE, 1.0) ** 0.5)


class BestCrops:
    """Keeps a few good and different views of each track as aligned canvases. Not thread-safe.

    One is cut out only when it would be kept, so a face that holds still costs nothing.

    Args:
        options: how many and which.
    """

    def __init__(self, options: BestCropsOptions | None = None) -> None:
        self._options = options or BestCropsOptions()
        self._views: dict[int, list[_View]] = {}
        self._last_offer_s: dict[int, float] = {}

    def offer(self, frame: Frame, face: TrackedFace) -> bool:
        """Look at a face; True when the views of its track have changed."""
        if face.is_coasting:
            return False
        time_s = frame.time_s
        self._last_offer_s[face.track_id] = time_s
        canvas_transform = _canvas_transform(face)
        if canvas_transform is None:
            return False
        transform = encoder_crop(canvas_transform, CANVAS_PX)
        quality = view_quality(face, transform)
        views = self._views.setdefault(face.track_id, [])
        rival = self._rival(views, time_s)
        if rival is not None and not self._is_better(quality, face, transform, views[rival]):
            return False
        canvas = crop_rgb(frame.pixels, frame.color, canvas_transform, CANVAS_PX)
        value = quality * (0.5 + 0.5 * sharpness_ratio(encoder_views(canvas[None])[0]))
        view = _View(time_s, quality, value, canvas)
        if rival is None:
            views.append(view)
        elif value > views[rival].value:
            views[rival] = view
        else:
            return False
        return True

    def _rival(self, views: list[_View], time_s: float) -> int | None:
        """The view that a new one must beat; None while there is room."""
        near = [i for i, view in enumerate(views) if abs(view.time_s - time_s) < self._spacing_s]
        if near:
            return near[0]
        if len(views) < self._options.views:
            return None
        return min(range(len(views)), key=lambda i: views[i].value)

    @property
    def _spacing_s(self) -> float:
        return self._options.spacing_s

    def _is_better(
        self, quality: float, face: TrackedFace, transform: Float64Array, rival: _View
    ) -> bool:
        side = float(face_size_px(transform, CANVAS_PX)) * CANVAS_PX / ENCODER_PX
        if side < self._options.min_face_px:
            return False
        # The best that this view could reach, if it is perfectly sharp.
        gain = 1.0 + self._options.min_gain_ratio
        return quality > rival.value * gain and quality > rival.quality * gain

    def of(self, track_id: int) -> UInt8Array | None:
        """The (K, 160, 160, 3) uint8 RGB canvases of a track, best first; None without views."""
        return self._stack(track_id) if self._views.get(track_id) else None

    def items(self) -> Iterator[tuple[int, UInt8Array]]:
        """Each track that has views, with (K, 160, 160, 3) uint8 RGB canvases, best first."""
        for track_id in sorted(self._views):
            if self._views[track_id]:
                yield track_id, self._stack(track_id)

    def take_ended(self, before_s: float) -> list[tuple[int, UInt8Array]]:
        """Hand over and forget the tracks that were not seen since a time, as `items` does.

        Calling this now and then keeps the memory flat over any number of tracks.
        """
        ended = sorted(key for key, last_s in self._last_offer_s.items() if last_s < before_s)
        taken = [(key, self._stack(key)) for key in ended if self._views.get(key)]
        for key in ended:
            self._views.pop(key, None)
            del self._last_offer_s[key]
        return taken

    def _stack(self, track_id: int) -> UInt8Array:
        views = sorted(self._views[track_id], key=lambda view: -view.value)
        return np.stack([view.canvas for view in views])
