from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.arrays import Float32Array
from streamer.rotation_kinds import RotationKind
from streamer.rotator import IdentityRotator, angle_for_level, make_rotator

VECTORS = Path(__file__).resolve().parents[1] / "vectors" / "rotation"
DIM = 64


def unit_vectors(dim: int = DIM) -> st.SearchStrategy[Float32Array]:
    def make(seed: int) -> Float32Array:
        values = np.random.default_rng(seed).standard_normal(dim)
        return (values / np.linalg.norm(values)).astype(np.float32)

    return st.integers(0, 2**32).map(make)


keys = st.binary(min_size=32, max_size=32)
angles = st.floats(1, 180)


def load() -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = []
    for path in sorted(VECTORS.glob("*.json")):
        cases += json.loads(path.read_text())["cases"]
    return cases


@pytest.mark.parametrize("case", load(), ids=lambda case: str(case["covers"]))
def test_vector(case: dict[str, Any]) -> None:
    rotator = make_rotator(
        cast(RotationKind, case["rotation"]),
        scope_key=bytes.fromhex(case["scope_key"]),
        angle_deg=case["angle_deg"],
        dim=case["dim"],
        version=case.get("version", 1),
    )
    z = np.array(case["z"], np.float32)
    is_close = np.allclose(rotator.rotate(z), case["rotated"], rtol=0, atol=case["tolerance"])
    assert is_close == case["is_equal"]
    if case["is_equal"]:
        norm = rotator.rotated_norm(z)
        assert norm == pytest.approx(case["norm"], abs=case["tolerance"])
        np.testing.assert_allclose(rotator.unrotate(rotator.rotate(z), norm=norm), z, atol=1e-5)


@settings(deadline=None, max_examples=50)
@given(values=unit_vectors(), key=keys, angle_deg=angles, version=st.sampled_from([1, 2]))
def test_turns_by_the_angle_and_back(
    values: Float32Array, key: bytes, angle_deg: float, version: int
) -> None:
    rotator = IdentityRotator(scope_key=key, dim=DIM, angle_deg=angle_deg, version=version)
    rotated = rotator.rotate(values)
    assert rotated.dtype == np.float32
    assert float(rotated @ values) == pytest.approx(np.cos(np.radians(angle_deg)), abs=1e-5)
    np.testing.assert_allclose(rotator.unrotate(rotated), values, atol=1e-5)


@settings(deadline=None, max_examples=50)
@given(a=unit_vectors(), b=unit_vectors(), key=keys, angle_deg=angles)
def test_keeps_distances(a: Float32Array, b: Float32Array, key: bytes, angle_deg: float) -> None:
    rotator = IdentityRotator(scope_key=key, dim=DIM, angle_deg=angle_deg)
    assert float(rotator.rotate(a) @ rotator.rotate(b)) == pytest.approx(float(a @ b), abs=1e-5)


def test_version_2_keeps_what_each_block_holds() -> None:
    (z,) = np.random.default_rng(2).standard_normal((1, 190)).astype(np.float32)
    z /= np.linalg.norm(z)
    turned = IdentityRotator(scope_key=bytes(32), angle_deg=90, dim=190).rotate(z)
    for start, end in ((0, 24), (24, 64), (64, 118), (118, 190)):
        before, after = z[start:end], turned[start:end]
        assert np.linalg.norm(after) == pytest.approx(np.linalg.norm(before), abs=1e-6)
        assert float(before @ after) == pytest.approx(0.0, abs=1e-6)


def test_another_key_gives_another_person() -> None:
    (z,) = np.random.default_rng(0).standard_normal((1, 512)).astype(np.float32)
    z /= np.linalg.norm(z)
    one = IdentityRotator(scope_key=bytes(32), angle_deg=90)
    two = IdentityRotator(scope_key=bytes([1] * 32), angle_deg=90)
    assert abs(float(one.rotate(z) @ two.rotate(z))) < 0.25
    assert abs(float(two.unrotate(one.rotate(z)) @ z)) < 0.25


def test_noise_is_not_amplified() -> None:
    # DESIGN's table: noise of norm 0.3 leaves cos 0.958 at every angle.
    rng = np.random.default_rng(1)
    for angle_deg in (70.0, 85.0, 90.0, 120.0):
        rotator = IdentityRotator(scope_key=bytes(32), angle_deg=angle_deg)
        z, noise = rng.standard_normal((2, 512))
        z /= np.linalg.norm(z)
        noise *= 0.3 / np.linalg.norm(noise)
        read = rotator.rotate(z.astype(np.float32)) + noise.astype(np.float32)
        assert float(rotator.unrotate(read) @ z.astype(np.float32)) == pytest.approx(
            0.958, abs=0.02
        )


def test_is_the_same_in_a_fresh_process() -> None:
    code = (
        "import numpy as np\nfrom streamer.rotator import IdentityRotator\n"
        "z = np.eye(1, 64, dtype=np.float32)[0]\n"
        "r = IdentityRotator(scope_key=bytes(32), angle_deg=85, dim=64)\n"
        "print(r.rotate(z).tobytes().hex())"
    )
    root = Path(__file__).resolve().parents[2]
    out = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, check=True, text=True
    )
    z = np.eye(1, 64, dtype=np.float32)[0]
    rotator = IdentityRotator(scope_key=bytes(32), angle_deg=85, dim=64)
    assert out.stdout.strip() == rotator.rotate(z).tobytes().hex()


def test_levels() -> None:
    expected = [70, 75, 80, 85, 95, 100, 105, 110, 115, 120]
    assert [angle_for_level(level) for level in range(10)] == expected
    for level in (-1, 10):
        with pytest.raises(ValueError, match="0 to 9"):
            angle_for_level(level)


@pytest.mark.parametrize("kind", ["orthogonal", "reference"])
def test_refuses_misuse(kind: RotationKind) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        make_rotator(kind, scope_key=bytes(31), angle_deg=80)
    for angle_deg in (0.0, 181.0, float("nan")):
        with pytest.raises(ValueError, match="angle"):
            make_rotator(kind, scope_key=bytes(32), angle_deg=angle_deg)
    rotator = make_rotator(kind, scope_key=bytes(32), angle_deg=80, dim=16)
    with pytest.raises(ValueError, match="expected shape"):
        rotator.rotate(np.ones(15, np.float32))
    for bad in (0.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="finite and not zero"):
            rotator.rotate(np.full(16, bad, np.float32))
    assert "\\x00" not in repr(rotator)


def test_odd_dimension_and_unknown_kind_are_refused() -> None:
    with pytest.raises(ValueError, match="even"):
        IdentityRotator(scope_key=bytes(32), angle_deg=80, dim=15)
    with pytest.raises(ValueError, match="unknown rotation"):
        make_rotator(cast(RotationKind, "other"), scope_key=bytes(32), angle_deg=80)
    for kind, version in (("orthogonal", 3), ("orthogonal", 0), ("reference", 2)):
        with pytest.raises(ValueError, match="rotation_version"):
            make_rotator(
                cast(RotationKind, kind), scope_key=bytes(32), angle_deg=80, version=version
            )
