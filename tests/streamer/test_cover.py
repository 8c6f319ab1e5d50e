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
    cover_into(canvas, (100, 60, 80, 100), style)
    changed = canvas != frame.pixels
    for plane, half in zip(planes_of(changed.view(np.uint8)), (1, 2, 2), strict=True):
        inside = plane[60 // half : 160 // half, 100 // half : 180 // half]
        assert inside.mean() > 0.9
        assert plane.sum() == inside.sum()


def test_few_values_are_left_under_a_cover() -> None:
    canvas = make_frame().pixels.copy()
    cover_into(canvas, (0, 0, 100, 100), "pixelate")
    assert len(np.unique(canvas[:100, :100])) <= 25


@given(w=st.integers(1, 5), h=st.integers(1, 5))
def test_tiny_rectangles_are_covered_too(w: int, h: int) -> None:
    canvas = make_frame().pixels.copy()
    cover_into(canvas, (0, 0, 2 * w, 2 * h), "pixelate")
