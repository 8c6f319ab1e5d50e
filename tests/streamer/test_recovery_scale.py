"""Faces of a recording in a copy of another size."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.key_log import Face
from streamer.recovery_scale import Scale, scale_between, scaled_face, scaled_planes
from streamer.sealed_patch import Planes


def test_copies_of_another_shape_are_no_scaled_copies() -> None:
    assert scale_between((720, 1280), (360, 640)) == Scale(0.5, 0.5)
    assert scale_between((720, 1280), (720, 1280)).is_one
    assert scale_between((720, 1280), (478, 850)) == Scale(850 / 1280, 478 / 720)
    assert scale_between((720, 1280), (480, 640)).is_one  # cut, not scaled
    assert scale_between((720, 1280), (1280, 720)).is_one  # turned


def test_a_face_lies_on_the_same_spot_of_the_picture() -> None:
    matrix = np.array([[0.5, 0.1, 40.0], [-0.1, 0.5, 20.0]])
    box = np.array([10, 20, 50, 80], np.float32)
    face = scaled_face(Face(1, 7, box, matrix, is_generated=True), Scale(0.5, 0.25))
    np.testing.assert_allclose(face.box_xyxy_px, [5, 5, 25, 20])
    assert (face.track_id, face.pts, face.is_generated) == (1, 7, True)
    crop = np.array([30.0, 60.0, 1.0])
    # Edges of the picture stay its edges; centres of pixels lie half a pixel inside.
    before, after = matrix @ crop + 0.5, face.frame_from_crop @ crop + 0.5
    np.testing.assert_allclose(after, before * [0.5, 0.25])


@pytest.mark.parametrize(
    ("scale", "size_wh", "corner"),
    [(Scale(0.5, 0.5), (20, 14), (6, 4)), (Scale(2.0, 2.0), (80, 56), (24, 16))],
)
def test_a_region_is_scaled_with_its_place(
    scale: Scale, size_wh: tuple[int, int], corner: tuple[int, int]
) -> None:
    ramp = np.tile(np.arange(40, dtype=np.uint8) * 4, (28, 1))
    half = np.full((14, 20), 90, np.uint8)
    made, found = scaled_planes(Planes(ramp, half, half + 20), x=12, y=8, scale=scale)
    assert found == corner
    assert made.y.shape == (size_wh[1], size_wh[0])
    assert made.u.shape == (size_wh[1] // 2, size_wh[0] // 2)
    assert (int(made.u[3, 3]), int(made.v[3, 3])) == (90, 110)
    assert abs(float(made.y.mean()) - float(ramp.mean())) < 1.5


@pytest.mark.parametrize("x", [10, 12, 14])
def test_a_region_lands_where_the_whole_picture_would_have_it(x: int) -> None:
    """Half a pixel off is more than what the recovery itself gets wrong."""
    scale = Scale(0.3, 0.5)
    columns, rows = np.meshgrid(np.arange(120) + 0.5, np.arange(40) + 0.5)
    waves = 128 + 60 * np.sin(columns / 5) + 40 * np.cos(rows / 4)
    at_copy = np.meshgrid((np.arange(36) + 0.5) / scale.x, (np.arange(20) + 0.5) / scale.y)
    wanted = 128 + 60 * np.sin(at_copy[0] / 5) + 40 * np.cos(at_copy[1] / 4)
    region = waves[6:36, x : x + 90].astype(np.uint8)
    half = np.full((15, 45), 128, np.uint8)
    made, (left, top) = scaled_planes(Planes(region, half, half), x=x, y=6, scale=scale)
    height, width = made.y.shape
    found = wanted[top : top + height, left : left + width]
    inner = np.s_[1:-1, 1:-1]
    assert np.abs(made.y[inner] - found[inner]).mean() < 7.0  # half a pixel: 15 and more


def test_a_tiny_region_at_the_edge_stays_inside() -> None:
    plane = np.zeros((2, 2), np.uint8)
    made, (left, _) = scaled_planes(
        Planes(plane, plane[:1, :1], plane[:1, :1]), x=1278, y=0, scale=Scale(850 / 1280, 0.66)
    )
    assert (left, made.y.shape) == (848, (2, 2))


def test_a_tiny_region_keeps_a_pixel_of_colour() -> None:
    plane = np.zeros((2, 2), np.uint8)
    made, _ = scaled_planes(
        Planes(plane, plane[:1, :1], plane[:1, :1]), x=0, y=0, scale=Scale(0.2, 0.2)
    )
    assert made.y.shape == (2, 2)
