from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.arrays import Float64Array
from streamer.aligner import (
    AlignerOptions,
    crop_bounds_xyxy_px,
    face_size_px,
    invert_similarity,
    plausible_landmarks,
    similarities_from_landmarks,
    similarity_from_landmarks,
    template_px,
    transform_points,
)
from tests.streamer.scenes import face_box, face_points


def umeyama(source: Float64Array, target: Float64Array) -> Float64Array:
    """The textbook form by singular values, to compare with."""
    a, b = source - source.mean(0), target - target.mean(0)
    u, s, vt = np.linalg.svd(b.T @ a / len(source))
    d = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(vt))])
    rotation = u @ np.diag(d) @ vt
    scale = float((s * d).sum() / a.var(0).sum())
    shift = target.mean(0) - scale * rotation @ source.mean(0)
    return np.hstack([scale * rotation, shift[:, None]])


points = st.lists(st.floats(-500, 500), min_size=10, max_size=10).map(
    lambda values: np.array(values).reshape(5, 2) + template_px(160) * 20
)


@given(landmarks=points, crop_size_px=st.sampled_from([112, 160, 256]))
def test_is_the_inverse_of_umeyama(landmarks: Float64Array, crop_size_px: int) -> None:
    transform = similarity_from_landmarks(landmarks, crop_size_px)
    expected = umeyama(landmarks, template_px(crop_size_px))
    np.testing.assert_allclose(invert_similarity(transform), expected, rtol=1e-6, atol=1e-6)


@given(
    scale=st.floats(0.05, 30),
    angle=st.floats(-np.pi, np.pi),
    x=st.floats(-2000, 2000),
    y=st.floats(-2000, 2000),
)
def test_finds_a_known_transform(scale: float, angle: float, x: float, y: float) -> None:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    known = np.array([[c, -s, x], [s, c, y]])
    transform = similarity_from_landmarks(transform_points(known, template_px(160)), 160)
    np.testing.assert_allclose(transform, known, rtol=1e-6, atol=1e-6)
    corner = np.array([[17.0, 33.0]])
    back = transform_points(invert_similarity(transform), transform_points(transform, corner))
    np.testing.assert_allclose(back, corner, atol=1e-6)


def test_the_middle_of_160_is_the_arcface_crop() -> None:
    np.testing.assert_allclose(template_px(160)[0] - 24, [38.2946, 51.6963])
    np.testing.assert_allclose(template_px(256), template_px(160) * 1.6)


def test_warping_brings_the_eyes_to_the_template() -> None:
    landmarks = face_points(300, 200, 120)
    frame = np.zeros((480, 640), np.uint8)
    for x, y in landmarks[:2]:
        cv2.circle(frame, (round(float(x)), round(float(y))), 3, 255, -1)
    transform = similarity_from_landmarks(landmarks, 160)
    crop = cv2.warpAffine(
        frame, transform, (160, 160), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    )
    for x, y in template_px(160)[:2]:
        assert crop[round(y), round(x)] > 128


def test_many_at_once_and_bad_ones() -> None:
    good, bad = face_points(100, 100), np.full((5, 2), 7.0, np.float32)
    unknown = np.full((5, 2), np.nan, np.float32)
    transforms = similarities_from_landmarks(np.stack([good, bad, unknown]), 160)
    np.testing.assert_allclose(transforms[0], similarity_from_landmarks(good, 160))
    assert np.isnan(transforms[1:]).all()
    with pytest.raises(ValueError, match="do not span a face"):
        similarity_from_landmarks(bad, 160)


def test_sizes() -> None:
    transform = np.array([[2.0, 0, 10], [0, 2.0, 20]])
    assert face_size_px(transform, 160) == pytest.approx(224)
    np.testing.assert_allclose(crop_bounds_xyxy_px(transform, 160), [10, 20, 330, 340])


def accepts(landmarks: Float64Array, box: Float64Array) -> bool:
    return bool(plausible_landmarks(landmarks[None], box[None], AlignerOptions())[0])


def test_believes_a_face_and_nothing_else() -> None:
    box = face_box(200, 200, 100).astype(np.float64)
    face = face_points(200, 200, 100).astype(np.float64)
    assert accepts(face, box)
    assert not accepts(face + np.array([90, 0]), box), "beside its box"
    assert not accepts((face - 200) * 0.4 + 200, box), "far too small for its box"
    assert not accepts(face[[1, 0, 2, 4, 3]], box), "mirrored"
    assert not accepts(face[[3, 4, 2, 0, 1]], box), "mouth above eyes"
    assert not accepts(np.full((5, 2), np.nan), box)
    assert not accepts(np.full((5, 2), 200.0), box)
    turned = face.copy()
    turned[2, 0] += 45
    assert not accepts(turned, box), "the nose far to the side"


@given(angle=st.floats(-np.pi, np.pi))
def test_believes_faces_that_lie(angle: float) -> None:
    # A picture stored on its side has every face on its side.
    face = face_points(200, 200, 100).astype(np.float64) - 200
    c, s = np.cos(angle), np.sin(angle)
    turned = face @ np.array([[c, s], [-s, c]]) + 200
    assert accepts(turned, np.array([150.0, 150, 250, 250]))


def test_no_faces() -> None:
    nothing = plausible_landmarks(np.zeros((0, 5, 2)), np.zeros((0, 4)), AlignerOptions())
    assert nothing.shape == (0,)
