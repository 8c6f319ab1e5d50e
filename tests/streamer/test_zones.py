from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from streamer.blender import AnonymizedFrame, Blender
from streamer.color import planes_of
from streamer.zones import PrivacyZones
from tests.factories import make_frame

TRIANGLE = ((0.25, 0.25), (0.75, 0.25), (0.5, 0.75))


@pytest.mark.parametrize("size_hw", [(240, 320), (720, 1280), (96, 64), (34, 50)])
def test_the_same_place_is_filled_at_any_resolution(size_hw: tuple[int, int]) -> None:
    frame = make_frame(size_hw=size_hw)
    before = frame.pixels.copy()
    covered = PrivacyZones([TRIANGLE]).covered(frame)
    assert np.array_equal(frame.pixels, before)
    height, width = size_hw
    for plane in planes_of(covered.pixels):
        rows, columns = np.mgrid[: plane.shape[0], : plane.shape[1]]
        x = (columns + 0.5) / plane.shape[1]
        y = (rows + 0.5) / plane.shape[0]
        inside = (y >= 0.25) & (np.abs(x - 0.5) <= 0.25 * (0.75 - y) / 0.5)
        assert inside.sum() > 0
        assert (plane[inside] == 128).all()
    luma, old = planes_of(covered.pixels)[0], planes_of(before)[0]
    corner = (slice(0, height // 5), slice(0, width // 5))
    assert np.array_equal(luma[corner], old[corner])


def test_a_zone_of_one_line_is_still_filled() -> None:
    covered = PrivacyZones([((0.5, 0.0), (0.5, 1.0), (0.5, 0.5))]).covered(make_frame())
    assert (planes_of(covered.pixels)[0][:, 159:162] == 128).all()


def test_the_blender_fills_zones_whatever_came_before() -> None:
    frame = make_frame(size_hw=(96, 128), value=50)
    result = Blender(fallback="fill", zones=PrivacyZones([TRIANGLE])).blend(frame, (), {})
    assert result.frame.pixels[40, 64] == 128
    assert result.frame.pixels[2, 2] == 50


def test_without_zones_the_frame_is_not_copied() -> None:
    frame = make_frame()
    assert PrivacyZones([]).covered(frame) is frame


def test_a_stub_is_an_anonymised_frame_that_says_something() -> None:
    stub = Blender(fallback="fill").stub(
        (96, 128), "NO SIGNAL", pts=7, time_base=Fraction(1, 25), index=-1
    )
    assert isinstance(stub, AnonymizedFrame)
    assert stub.pts == 7
    assert not stub.pixels.flags.writeable
    assert len(np.unique(stub.pixels[:96])) > 1
