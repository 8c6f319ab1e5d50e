from __future__ import annotations

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

from engines.errors import CoverageError
from streamer.blender import AnonymizedFrame, Blender, covers
from streamer.frames import ColorSpec
from tests.factories import make_frame, make_generated, make_planned, transform_at


def test_only_the_blender_builds_anonymized_frames() -> None:
    frame = make_frame()
    with pytest.raises(TypeError, match=r"only Blender\.blend"):
        AnonymizedFrame(frame.pixels, ColorSpec(), 0, Fraction(1, 25), 0, seal=object())
    made = Blender(fallback="fill").blend(frame, (), {}).frame
    with pytest.raises((TypeError, ValueError)):
        dataclasses.replace(made, pixels=frame.pixels)  # type: ignore[call-arg]  # that is the point


def test_output_is_read_only_and_input_untouched() -> None:
    frame, face = make_frame(), make_planned()
    before = frame.pixels.copy()
    made = Blender(fallback="fill").blend(frame, (face,), {1: make_generated(face)}).frame
    assert np.array_equal(frame.pixels, before)
    assert not made.pixels.flags.writeable
    assert not np.shares_memory(made.pixels, frame.pixels)


def test_a_face_without_a_synthetic_one_is_covered() -> None:
    frame, face = make_frame(), make_planned()
    result = Blender(fallback="fill").blend(frame, (face,), {})
    assert result.filled == {1}
    assert result.frame.pixels[100:140, 140:180].std() == 0


def test_a_synthetic_face_beside_the_box_does_not_count() -> None:
    frame, face = make_frame(), make_planned()
    astray = dataclasses.replace(
        make_generated(face), frame_from_crop=transform_at((40.0, 60.0), 60.0)
    )
    result = Blender(fallback="fill").blend(frame, (face,), {1: astray})
    assert result.filled == {1}
    assert result.frame.pixels[100:140, 140:180].std() == 0


def test_a_thin_mask_does_not_count() -> None:
    face = make_planned()
    assert covers(make_generated(face), face)
    assert not covers(make_generated(face, mask=0.2), face)


def test_replaced_face_is_painted_inside_its_rectangle_only() -> None:
    frame, face = make_frame(), make_planned()
    result = Blender(fallback="fill").blend(frame, (face,), {1: make_generated(face)})
    assert result.replaced == {1}
    x, y, width, height = result.rects_xywh_px[1]
    changed = result.frame.pixels[:240] != frame.pixels[:240]
    inside = changed[y : y + height, x : x + width]
    assert inside.any()
    assert changed.sum() == inside.sum()


def test_covers_come_before_synthetic_faces() -> None:
    frame = make_frame()
    replaced = make_planned(track_id=1)
    filled = make_planned(track_id=2, centre_xy=(175.0, 125.0), fill=True)
    result = Blender(fallback="fill").blend(
        frame, (replaced, filled), {1: make_generated(replaced, value=255)}
    )
    assert result.frame.pixels[120, 160] > 220


def test_a_box_that_is_not_finite_stops_the_frame() -> None:
    face = dataclasses.replace(
        make_planned(fill=True), box_xyxy_px=np.array([np.nan, 0, 1, 1], np.float32)
    )
    with pytest.raises(CoverageError):
        Blender(fallback="fill").blend(make_frame(), (face,), {})
