"""A part of a frame is looked at like the whole, whichever way it is stored."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

import cv2
import numpy as np
import pytest

from engines.arrays import UInt8Array
from engines.detector import FaceDetector
from streamer.config import load_config
from streamer.demo_sample import SAMPLE_SIZE_HW, sample_frames
from streamer.face_finder import FaceFinder
from streamer.frames import ColorSpec, Frame
from streamer.models import load_models

HEIGHT, WIDTH = SAMPLE_SIZE_HW


@pytest.fixture(scope="module")
def detector() -> Iterator[FaceDetector]:
    models = load_models(load_config(None), threads=1)
    yield models.detector
    models.close()


def _stored(rotation_deg: int) -> Frame:
    """A frame of the sample, stored so that a counter-clockwise turn makes it upright."""
    upright = next(iter(sample_frames(0.1)))
    chroma = upright[HEIGHT:].reshape(2, HEIGHT // 2, WIDTH // 2)
    planes: list[UInt8Array] = [upright[:HEIGHT], *chroma]
    if rotation_deg:
        planes = [np.asarray(cv2.rotate(one, cv2.ROTATE_90_CLOCKWISE), np.uint8) for one in planes]
    across = planes[0].shape[1]
    pixels = np.concatenate([one.reshape(-1, across) for one in planes])
    return Frame(pixels, ColorSpec(), 0, Fraction(1, 25), 0)


@pytest.mark.parametrize("rotation_deg", [0, 90])
def test_faces_are_seen_in_the_parts_that_hold_them(
    detector: FaceDetector, rotation_deg: int
) -> None:
    frame = _stored(rotation_deg)
    finder = FaceFinder(detector, rotation_deg=rotation_deg, long_side_px=640)
    found = finder.find(frame)
    sure = found.boxes_xyxy_px[found.scores > 0.5]
    assert len(sure) >= 2
    height, width = frame.size_hw
    for box in sure:
        side = float(box[3] - box[1])
        low = np.maximum(box[:2] - side, 0).astype(int).tolist()
        high = np.minimum(box[2:] + side, [width, height]).astype(int).tolist()
        assert finder.sees_any(frame, (low[0], low[1], high[0], high[1]))
    assert not finder.sees_any(_blank(frame), (0, height - 90, 250, height))


def _blank(frame: Frame) -> Frame:
    return Frame(np.full_like(frame.pixels, 90), ColorSpec(), 1, Fraction(1, 25), 1)


@pytest.mark.parametrize(
    "part",
    [(0, 0, 3, 3), (WIDTH - 3, HEIGHT - 9, WIDTH, HEIGHT), (WIDTH - 500, 8, WIDTH - 480, 11)],
)
def test_small_parts_and_odd_edges_are_no_error(
    detector: FaceDetector, part: tuple[int, int, int, int]
) -> None:
    finder = FaceFinder(detector, rotation_deg=0, long_side_px=640)
    assert not finder.sees_any(_blank(_stored(0)), part)
