from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import CoverageError
from streamer.color import planes_of
from streamer.cover import CoverStyle, cover_into, cover_rect
from tests.factories import make_frame

coordinate = st.floats(-400, 700, width=32)


@given(x1=coordinate, y1=coordinate, w=st.floats(0, 300, width=32), h=st.floats(0, 300, width=32))
def test_rect_is_even_inside_and_holds_the_box(x1: float, y1: float, w: float, h: float) -> None:
    box = np.array([x1, y1, x1 + w, y1 + h], np.float32)
    x, y, width, height = cover_rect(box, (240, 320))
    assert x % 2 == y % 2 == width % 2 == height % 2 == 0
    assert 0 <= x <= x + width <= 320
    assert 0 <= y <= y + height <= 240
    clipped = np.clip(box, 0, [320, 240, 320, 240])
    if clipped[2] > clipped[0] and clipped[3] > clipped[1]:
        assert x <= clipped[0]
        assert y <= clipped[1]
        assert x + width >= clipped[2]
        assert y + height >= clipped[3]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_box_that_is_not_finite_stops_the_frame(value: float) -> None:
    with pytest.raises(CoverageError):
        cover_rect(np.array([0, 0, value, 10], np.float32), (240, 320))


@pytest.mark.parametrize("style", ["pixelate", "fill"])
def test_cover_changes_the_rectangle_and_nothing_else(style: CoverStyle) -> None:
    frame = make_frame()
    canvas = frame.pixels.copy()
    assert cover_into(canvas, (100, 60, 80, 100), style) == (100, 60, 80, 100)
    changed = canvas != frame.pixels
    for plane, half in zip(planes_of(changed.view(np.uint8)), (1, 2, 2), strict=True):
        inside = plane[60 // half : 160 // half, 100 // half : 180 // half]
        assert inside.mean() > 0.9
        assert plane.sum() == inside.sum()


def test_few_values_are_left_under_a_cover() -> None:
    canvas = make_frame().pixels.copy()
    cover_into(canvas, (0, 0, 100, 100), "pixelate")
    assert len(np.unique(canvas[:100, :100])) <= 25


def test_a_blur_hides_as_much_as_coarse_pixels() -> None:
    rng = np.random.default_rng(3)
    cells = rng.integers(40, 200, (3, 3), dtype=np.uint8)
    pictures = []
    for pattern in (0, 30):  # two pictures that differ within the cells, and nowhere else
        canvas = make_frame().pixels.copy()
        texture = np.tile(np.array([[pattern, -pattern], [-pattern, pattern]]), (45, 45))
        canvas[60:150, 100:190] = np.kron(cells, np.ones((30, 30), np.uint8)) + texture
        cover_into(canvas, (100, 60, 90, 90), "blur")
        pictures.append(canvas[60:150, 100:190])
    assert np.ptp(pictures[0]) > 20
    np.testing.assert_array_equal(pictures[0], pictures[1])


def test_a_blur_runs_out_in_what_it_says_it_changes() -> None:
    frame = make_frame()
    canvas = frame.pixels.copy()
    x, y, w, h = cover_into(canvas, (100, 60, 80, 100), "blur")
    assert (x, y, w, h) == (94, 54, 92, 112)
    changed = canvas[:240].astype(int) - frame.pixels[:240]
    inside = changed[y : y + h, x : x + w]
    assert np.count_nonzero(changed) == np.count_nonzero(inside)
    # The step at its outline is a small part of what is covered.
    assert np.abs(inside[0]).mean() < 0.25 * np.abs(inside[6:-6, 6:-6]).mean()


def test_a_blur_at_the_edge_of_the_picture_stays_in_it() -> None:
    canvas = make_frame().pixels.copy()
    assert cover_into(canvas, (0, 0, 60, 60), "blur") == (0, 0, 64, 64)
    assert cover_into(canvas, (260, 180, 60, 60), "blur") == (256, 176, 64, 64)


@pytest.mark.parametrize("style", ["blur", "pixelate"])
@given(w=st.integers(1, 5), h=st.integers(1, 5))
def test_tiny_rectangles_are_covered_too(style: CoverStyle, w: int, h: int) -> None:
    canvas = make_frame().pixels.copy()
    cover_into(canvas, (0, 0, 2 * w, 2 * h), style)
