from __future__ import annotations

import cv2
import numpy as np
import pytest

from engines.preprocess import fit_free, fit_inside, i420_to_canvas, rgb_to_canvas, to_tensor


def test_a_720p_frame_fills_its_canvas_but_for_the_rounding() -> None:
    box = fit_free((720, 1280), long_side_px=640, most_enlarged=2.0)
    assert box.content_hw == (360, 640)
    assert box.canvas_hw == (384, 640)
    np.testing.assert_allclose(box.factor_xy, [0.5, 0.5])


def test_small_frames_are_enlarged_only_so_far() -> None:
    box = fit_free((90, 160), long_side_px=640, most_enlarged=2.0)
    assert box.content_hw == (180, 320)


@pytest.mark.parametrize("frame_hw", [(1, 1), (3, 5), (1080, 1920), (1920, 1080), (37, 4000)])
def test_every_size_gives_a_canvas_of_whole_strides(frame_hw: tuple[int, int]) -> None:
    box = fit_free(frame_hw, long_side_px=640, most_enlarged=2.0)
    assert all(side % 32 == 0 and side > 0 for side in box.canvas_hw)
    assert all(c <= k for c, k in zip(box.content_hw, box.canvas_hw, strict=True))
    canvas = rgb_to_canvas(np.zeros((*frame_hw, 3), np.uint8), box)
    assert canvas.shape == (*box.canvas_hw, 3)


def test_fixed_canvas_holds_the_whole_frame() -> None:
    box = fit_inside((720, 1280), (640, 640))
    assert box.content_hw == (360, 640)
    canvas = rgb_to_canvas(np.zeros((720, 1280, 3), np.uint8), box)
    assert (canvas[360:] == 127).all()
    assert (canvas[:360] == 0).all()


def test_i420_gives_nearly_the_picture_that_rgb_gives() -> None:
    rng = np.random.default_rng(3)
    smooth = cv2.resize(rng.integers(40, 200, (6, 8, 3), np.uint8), (256, 144))
    rgb = np.asarray(smooth, np.uint8)
    i420 = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), np.uint8)
    box = fit_free((144, 256), long_side_px=128, most_enlarged=1.0)
    difference = np.abs(rgb_to_canvas(rgb, box).astype(int) - i420_to_canvas(i420, box))
    assert difference.mean() < 2  # chroma is halved, so single pixels may differ more


def test_i420_wants_even_sides() -> None:
    box = fit_free((6, 5), long_side_px=32, most_enlarged=2.0)
    with pytest.raises(ValueError, match="even"):
        i420_to_canvas(np.zeros((9, 5), np.uint8), box)


def test_tensor_is_normalised_and_channels_first() -> None:
    canvas = np.zeros((32, 64, 3), np.uint8)
    canvas[..., 0] = 255
    tensor = to_tensor([canvas, canvas], mean=127.5, std=128.0)
    assert tensor.shape == (2, 3, 32, 64)
    np.testing.assert_allclose(tensor[1, 0], 127.5 / 128)
    np.testing.assert_allclose(tensor[1, 2], -127.5 / 128)
