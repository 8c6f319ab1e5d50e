from __future__ import annotations

import numpy as np
import pytest

from engines.arrays import Float64Array
from streamer.rotator import angle_for_level
from streamer.rotator_reference import ReferenceRotator, gaussians_from_stream

COUNT = 60


def identities(count: int = COUNT, dim: int = 512) -> Float64Array:
    values = np.random.default_rng(7).standard_normal((count, dim))
    unit: Float64Array = values / np.linalg.norm(values, axis=1, keepdims=True)
    return unit


@pytest.mark.parametrize("level", range(10))
def test_inverse_is_exact_with_the_kept_norm(level: int) -> None:
    rotator = ReferenceRotator(scope_key=bytes(32), angle_deg=angle_for_level(level))
    for z in identities().astype(np.float32):
        back = rotator.unrotate(rotator.rotate(z), norm=rotator.rotated_norm(z))
        np.testing.assert_allclose(back, z, atol=2e-5)


@pytest.mark.parametrize("level", range(10))
def test_inverse_is_exact_near_and_far_from_the_reference(level: int) -> None:
    rotator = ReferenceRotator(scope_key=bytes(32), angle_deg=angle_for_level(level), dim=64)
    reference = np.asarray(rotator._f)
    for along in (-0.8, -0.3, 0.0, 0.3):
        for other in identities(5, 64):
            rest = other - (other @ reference) * reference
            rest /= np.linalg.norm(rest)
            z = (along * reference + np.sqrt(1 - along**2) * rest).astype(np.float32)
            back = rotator.unrotate(rotator.rotate(z), norm=rotator.rotated_norm(z))
            np.testing.assert_allclose(back, z, atol=1e-4)


@pytest.mark.parametrize("level", [0, 1, 2, 5, 6, 7, 8, 9])
def test_solved_norm_gives_the_person_back_away_from_90(level: int) -> None:
    rotator = ReferenceRotator(scope_key=bytes(32), angle_deg=angle_for_level(level))
    cosines = [float(rotator.unrotate(rotator.rotate(z)) @ z) for z in identities().astype("f4")]
    assert min(cosines) > 0.999


@pytest.mark.parametrize("level", [3, 4])
def test_solved_norm_near_90_is_right_for_most(level: int) -> None:
    rotator = ReferenceRotator(scope_key=bytes(32), angle_deg=angle_for_level(level))
    cosines = [float(rotator.unrotate(rotator.rotate(z)) @ z) for z in identities().astype("f4")]
    assert np.mean(np.array(cosines) > 0.999) > 0.8


def test_follows_equations_13_and_14() -> None:
    rotator = ReferenceRotator(scope_key=bytes(32), angle_deg=75, dim=32)
    z = identities(1, 32)[0].astype(np.float32)
    f, angle = np.asarray(rotator._f), np.radians(75)
    unit = z / np.linalg.norm(z.astype(np.float64))
    expected = unit * np.cos(angle) + (f - (unit @ f) * unit) * np.sin(angle)
    assert rotator.rotated_norm(z) == pytest.approx(np.linalg.norm(expected))
    np.testing.assert_allclose(rotator.rotate(z) * rotator.rotated_norm(z), expected, atol=1e-6)


def test_password_chooses_the_reference() -> None:
    one, two = (
        np.asarray(ReferenceRotator(scope_key=bytes([i] * 32), angle_deg=80)._f) for i in (1, 2)
    )
    assert np.linalg.norm(one) == pytest.approx(1)
    assert abs(float(one @ two)) < 0.4


@pytest.mark.parametrize("angle_deg", [90.0, 90.01, 89.99])
def test_90_degrees_is_refused(angle_deg: float) -> None:
    with pytest.raises(ValueError, match="no inverse"):
        ReferenceRotator(scope_key=bytes(32), angle_deg=angle_deg)


def test_gaussians_are_standard_normal_and_follow_the_document() -> None:
    words = np.array([1 << 63, 3 << 61], "<u8")
    u = [((int(word) >> 11) + 0.5) * 2.0**-53 for word in words]
    radius, turn = np.sqrt(-2 * np.log(u[0])), 2 * np.pi * u[1]
    expected = [radius * np.cos(turn), radius * np.sin(turn)]
    np.testing.assert_allclose(gaussians_from_stream(words.tobytes()), expected, rtol=1e-15)
    extreme = gaussians_from_stream(bytes(16) + b"\xff" * 16)
    assert np.isfinite(extreme).all()
