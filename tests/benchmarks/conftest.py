"""Tiny footage of generated people, with exact boxes, for testing the instruments."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from benchmarks.portraits_video import portraits
from benchmarks.source_faces import FrameFaces
from engines.arrays import Float32Array, UInt8Array

SIZE_HW = (160, 240)
CARD_PX = 120
FACE_BOX = np.array([90, 45, 150, 115], np.float32)


def face_frame(number: int, *, portrait: int = 0) -> UInt8Array:
    """A portrait on grey that moves by a pixel a frame."""
    canvas = np.full((*SIZE_HW, 3), 90, np.uint8)
    canvas[::7] = 120
    card = cv2.resize(portraits()[portrait], (CARD_PX, CARD_PX), interpolation=cv2.INTER_AREA)
    left = 60 + number % 3
    canvas[20 : 20 + CARD_PX, left : left + CARD_PX] = card
    return canvas


@pytest.fixture(scope="session")
def face_frames() -> list[UInt8Array]:
    return [face_frame(number) for number in range(6)]


@pytest.fixture(scope="session")
def other_frames() -> list[UInt8Array]:
    return [face_frame(number, portrait=3) for number in range(6)]


@pytest.fixture(scope="session")
def exact_faces() -> list[FrameFaces]:
    def one(number: int) -> FrameFaces:
        box: Float32Array = (FACE_BOX + np.array([1, 0, 1, 0]) * (number % 3)).astype(np.float32)
        points = np.zeros((1, 5, 2), np.float32)
        return FrameFaces(box[None], points, np.array([True]), box[None])

    return [one(number) for number in range(6)]


@pytest.fixture
def no_faces() -> list[FrameFaces]:
    empty = np.zeros((0, 4), np.float32)
    found = FrameFaces(empty, np.zeros((0, 5, 2), np.float32), np.zeros(0, np.bool_), empty)
    return [found] * 6
