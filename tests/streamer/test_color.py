"""Crops out of frames and back into them."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engines.arrays import Float32Array, Float64Array, UInt8Array
from streamer.color import crop_rgb, paste_rgb_into
from streamer.frames import ColorSpec

SPECS = [ColorSpec(), ColorSpec(1), ColorSpec(6, True), ColorSpec(9), ColorSpec(1, True)]


def _picture(size_hw: tuple[int, int] = (240, 320)) -> UInt8Array:
    """(3H/2, W) uint8 I420 of soft noise."""
    noise = np.random.default_rng(1).integers(0, 256, (*size_hw, 3), np.uint8)
    soft = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 8), None, 60, 200, cv2.NORM_MINMAX)
    picture: UInt8Array = cv2.cvtColor(soft, cv2.COLOR_RGB2YUV_I420)
    return picture


def _placed(scale: float, angle_deg: float, x: float, y: float) -> Float64Array:
    angle = np.radians(angle_deg)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * scale
    return np.column_stack([turn, (x, y)])


def _disc(size: int = 80) -> Float32Array:
    mask = np.zeros((size, size), np.float32)
    cv2.circle(mask, (size // 2, size // 2), size // 2 - 6, 1.0, -1)
    blurred: Float32Array = cv2.GaussianBlur(mask, (0, 0), 2)
    return blurred


@pytest.mark.parametrize("color", SPECS)
def test_known_colours(color: ColorSpec) -> None:
    pixels = np.full((360, 320), 128, np.uint8)
    pixels[:240] = 255 if color.full_range else 235
    crop = crop_rgb(pixels, color, _placed(1, 0, 20, 20), 32)
    assert np.abs(crop.astype(int) - 255).max() <= 1


def test_matrix_decides_the_colour() -> None:
    red_709, red_601 = (63, 102, 240), (81, 90, 240)
    for matrix, (y, u, v) in ((1, red_709), (6, red_601)):
        pixels = np.full((360, 320), y, np.uint8)
        pixels[240:300], pixels[300:] = u, v
        crop = crop_rgb(pixels, ColorSpec(matrix), _placed(1, 0, 20, 20), 16)
        assert np.abs(crop[8, 8].astype(int) - (255, 0, 0)).max() <= 3


@pytest.mark.parametrize("color", SPECS)
@pytest.mark.parametrize("scale", [0.4, 1.0, 1.7])
def test_a_crop_put_back_changes_little(color: ColorSpec, scale: float) -> None:
    picture = _picture()
    canvas = picture.copy()
    place = _placed(scale, 20, 100, 40)
    rect = paste_rgb_into(canvas, color, crop_rgb(picture, color, place, 80), _disc(), place)
    assert rect[2] > 0
    assert np.abs(canvas.astype(int) - picture).max() <= 12
    assert np.abs(canvas.astype(int) - picture).mean() < 0.5


@pytest.mark.parametrize("scale", [0.3, 1.0, 3.0])
@pytest.mark.parametrize(("x", "y"), [(100, 60), (-40, -30), (290, 200)])
def test_nothing_outside_the_rectangle_changes(scale: float, x: float, y: float) -> None:
    picture = _picture()
    canvas = picture.copy()
    face = np.full((80, 80, 3), (250, 10, 200), np.uint8)
    rx, ry, width, height = paste_rgb_into(
        canvas, ColorSpec(), face, _disc(), _placed(scale, 33, x, y)
    )
    assert not any(value % 2 for value in (rx, ry, width, height))
    outside = canvas != picture
    for plane, divisor in ((outside[:240], 1), *((half, 2) for half in _halves(outside))):
        rows = slice(ry // divisor, (ry + height) // divisor)
        plane[rows, rx // divisor : (rx + width) // divisor] = False
        assert not plane.any()


def _halves(planes: UInt8Array) -> UInt8Array:
    return planes[240:].reshape(2, 120, 160)


def test_a_full_mask_hides_everything_inside() -> None:
    canvas = _picture()
    face = np.full((80, 80, 3), 128, np.uint8)
    place = _placed(1.5, 0, 50, 50)
    paste_rgb_into(canvas, ColorSpec(6, True), face, np.ones((80, 80), np.float32), place)
    inside = canvas[60:150, 60:150]
    assert np.abs(inside.astype(int) - 128).max() <= 1


def test_outside_the_frame_nothing_happens() -> None:
    picture = _picture()
    canvas = picture.copy()
    face = np.zeros((80, 80, 3), np.uint8)
    rect = paste_rgb_into(canvas, ColorSpec(), face, _disc(), _placed(1, 0, 900, 900))
    assert rect[2] * rect[3] == 0
    empty = np.zeros((80, 80), np.float32)
    assert paste_rgb_into(canvas, ColorSpec(), face, empty, _placed(1, 0, 50, 50))[2:] == (0, 0)
    assert np.array_equal(canvas, picture)


def test_a_large_face_is_averaged_not_skipped() -> None:
    pixels = np.full((720 * 3 // 2, 1280), 128, np.uint8)
    pixels[:720:2] = 60
    pixels[1:720:2] = 180
    crop = crop_rgb(pixels, ColorSpec(6, True), _placed(6.0, 0, 20, 20), 80)
    assert crop.std() < 6


def test_arrays_are_checked() -> None:
    canvas = _picture()
    face, mask = np.zeros((80, 80, 3), np.uint8), _disc()
    with pytest.raises(ValueError, match="mask"):
        paste_rgb_into(canvas, ColorSpec(), face, mask[:40], _placed(1, 0, 0, 0))
    with pytest.raises(ValueError, match="frame_from_crop"):
        crop_rgb(canvas, ColorSpec(), np.eye(3), 32)
