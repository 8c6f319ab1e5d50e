"""The demo's sample: synthetic people who move, turn and come closer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from engines.arrays import UInt8Array

__all__ = ["SAMPLE_FPS", "SAMPLE_SIZE_HW", "sample_frames"]

SAMPLE_SIZE_HW: Final = (480, 960)
SAMPLE_FPS: Final = 25
_FOLDER: Final = Path(__file__).resolve().parent / "sample"
_CARD_PX: Final = 320


@dataclass(frozen=True, slots=True)
class _Actor:
    """A portrait and how it moves: rates in Hz, shifts in pixels, angle in degrees."""

    file: str
    centre_x_px: float
    sway_px: float
    rate_hz: float
    tilt_deg: float
    zoom_ratio: float
    phase: float


_ACTORS: Final = (
    _Actor("female_48", 160, 26, 0.23, 7, 0.12, 0.0),
    _Actor("male_05", 480, 22, 0.31, 10, 0.16, 1.7),
    _Actor("female_13", 800, 30, 0.19, 6, 0.10, 3.1),
)
# In the second half other people stand there: a cut, as cameras and editors make them.
_SECOND_CAST: Final = ("male_50", "female_22", "male_78")


def _portrait(name: str) -> UInt8Array:
    picture = cv2.imread(str(_FOLDER / f"{name}.jpg"), cv2.IMREAD_COLOR)
    if picture is None:
        raise FileNotFoundError(_FOLDER / f"{name}.jpg")
    return np.asarray(cv2.resize(picture, (_CARD_PX, _CARD_PX), interpolation=cv2.INTER_AREA))


def _background() -> UInt8Array:
    height, width = SAMPLE_SIZE_HW
    ramp = np.linspace(70, 150, height, dtype=np.float32)[:, None]
    wave = 12 * np.sin(np.arange(width, dtype=np.float32) / 37.0)[None, :]
    plane = np.clip(ramp + wave, 0, 255).astype(np.uint8)
    return np.dstack([plane, plane // 2 + 60, plane // 3 + 70])


def _place_into(canvas: UInt8Array, card: UInt8Array, actor: _Actor, time_s: float) -> None:
    turn = 2 * np.pi * actor.rate_hz * time_s + actor.phase
    zoom = 1.05 + actor.zoom_ratio * float(np.sin(turn * 0.8))
    matrix = cv2.getRotationMatrix2D(
        (_CARD_PX / 2, _CARD_PX / 2), actor.tilt_deg * float(np.sin(turn)), zoom
    )
    matrix[0, 2] += actor.centre_x_px - _CARD_PX / 2 + actor.sway_px * np.sin(turn * 1.3)
    matrix[1, 2] += SAMPLE_SIZE_HW[0] / 2 - _CARD_PX / 2 + 14 * np.sin(turn * 1.9)
    cv2.warpAffine(
        card,
        matrix,
        (SAMPLE_SIZE_HW[1], SAMPLE_SIZE_HW[0]),
        dst=canvas,
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_TRANSPARENT,
    )


def sample_frames(duration_s: float) -> Iterator[UInt8Array]:
    """The sample's frames.

    Args:
        duration_s: length; the people change at half of it.

    Yields:
        (3H/2, W) uint8 I420 of `SAMPLE_SIZE_HW`, BT.601 limited range, at `SAMPLE_FPS`.
    """
    casts = [[_portrait(actor.file) for actor in _ACTORS], [_portrait(n) for n in _SECOND_CAST]]
    background = _background()
    count = max(1, round(duration_s * SAMPLE_FPS))
    for index in range(count):
        canvas = background.copy()
        cast = casts[0] if index < count / 2 else casts[1]
        for card, actor in zip(cast, _ACTORS, strict=True):
            _place_into(canvas, card, actor, index / SAMPLE_FPS)
        yield np.asarray(cv2.cvtColor(canvas, cv2.COLOR_BGR2YUV_I420))
