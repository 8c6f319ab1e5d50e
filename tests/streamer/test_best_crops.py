from __future__ import annotations

from fractions import Fraction

import cv2
import numpy as np
import pytest

from engines.arrays import UInt8Array
from streamer.aligner import encoder_crop, encoder_views, similarities_from_landmarks
from streamer.best_crops import BestCrops, BestCropsOptions, sharpness_ratio
from streamer.color import crop_rgb
from streamer.frames import ColorSpec, Frame, TrackedFace
from tests.streamer.scenes import SIZE_HW, face_box, face_points


def make_frame(time_ms: int, *, blur: int = 0) -> Frame:
    """A noisy grey frame."""
    height, width = SIZE_HW
    rng = np.random.default_rng(time_ms)
    luma: UInt8Array = rng.integers(60, 200, (height, width)).astype(np.uint8)
    if blur:
        luma = cv2.GaussianBlur(luma, (0, 0), blur).astype(np.uint8)
    pixels = np.concatenate([luma, np.full((height // 2, width), 128, np.uint8)])
    return Frame(pixels, ColorSpec(), time_ms, Fraction(1, 1000), time_ms)


def make_face(size: float = 120, *, score: float = 0.9, yaw_px: float = 0) -> TrackedFace:
    points = face_points(300, 200, size)
    points[2, 0] += yaw_px
    box = face_box(300, 200, size)
    return TrackedFace(1, box, points, is_coasting=False, score=score)


def crops_of(crops: BestCrops) -> UInt8Array:
    ((track_id, views),) = crops.items()
    assert track_id == 1
    return views


def test_keeps_a_few_views_spread_over_time() -> None:
    crops = BestCrops(BestCropsOptions(views=3, spacing_s=0.3))
    for i in range(100):
        crops.offer(make_frame(i * 40), make_face())
    views = crops_of(crops)
    assert views.shape == (3, 160, 160, 3)
    assert views.dtype == np.uint8


def test_cuts_nothing_out_while_nothing_gets_better() -> None:
    crops = BestCrops()
    changes = [crops.offer(make_frame(i), make_face()) for i in range(20)]
    assert changes == [True] + [False] * 19


@pytest.mark.parametrize(
    "better", [make_face(160), make_face(score=0.99), make_face(100, yaw_px=0)], ids=str
)
def test_a_better_view_takes_the_place(better: TrackedFace) -> None:
    crops = BestCrops(BestCropsOptions(views=1))
    assert crops.offer(make_frame(0), make_face(60, score=0.6, yaw_px=8))
    assert crops.offer(make_frame(5000), better)
    assert not crops.offer(make_frame(9000), make_face(60, score=0.6, yaw_px=8))


def test_sharp_views_come_first() -> None:
    crops = BestCrops()
    crops.offer(make_frame(0, blur=4), make_face())
    crops.offer(make_frame(1000), make_face())
    sharp, blurred = encoder_views(crops_of(crops))
    assert sharpness_ratio(sharp) > 2 * sharpness_ratio(blurred)


def test_faces_without_landmarks_and_lost_ones_give_no_view() -> None:
    crops = BestCrops()
    box = face_box(300, 200)
    assert not crops.offer(make_frame(0), TrackedFace(1, box, None, is_coasting=False, score=0.9))
    assert not crops.offer(make_frame(1), TrackedFace(1, box, None, is_coasting=True))
    assert list(crops.items()) == []


def test_a_face_partly_outside_the_frame_gives_a_view() -> None:
    crops = BestCrops()
    points = face_points(5, 5, 120)
    face = TrackedFace(1, face_box(5, 5, 120), points, is_coasting=False, score=0.9)
    assert crops.offer(make_frame(0), face)


def test_ended_tracks_are_handed_over_once() -> None:
    crops = BestCrops()
    crops.offer(make_frame(0), make_face())
    assert crops.take_ended(0.0) == []
    ((track_id, views),) = crops.take_ended(0.5)
    assert (track_id, len(views)) == (1, 1)
    assert crops.take_ended(0.5) == []
    assert list(crops.items()) == []


def test_the_middle_of_a_canvas_is_what_the_encoder_gets() -> None:
    crops, face, frame = BestCrops(), make_face(), make_frame(0)
    crops.offer(frame, face)
    assert face.landmarks_px is not None
    canvas = similarities_from_landmarks(face.landmarks_px[None], 160).reshape(2, 3)
    direct = crop_rgb(frame.pixels, frame.color, encoder_crop(canvas, 160), 112)
    middle = encoder_views(crops_of(crops))[0]
    assert np.abs(middle.astype(int) - direct).mean() < 1.0
