from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from engines.arrays import Float32Array
from engines.errors import EngineLoadError
from engines.manifest import sha256_of
from streamer.identity import IdentityKeys, IdentitySpace, load_identity_space, mean_embedding
from streamer.keys import KeyScope
from streamer.rotator import Rotator, make_rotator

DIM = 64


def _space() -> IdentitySpace:
    q, _ = np.linalg.qr(np.random.default_rng(3).normal(size=(512, DIM)))
    return IdentitySpace(np.ascontiguousarray(q.T).astype(np.float32))


def _member(space: IdentitySpace, seed: int) -> Float32Array:
    coordinates = np.random.default_rng(seed).normal(size=DIM).astype(np.float32)
    return space.embedding(coordinates)


def _keys(space: IdentitySpace, scope: str, made: list[str]) -> IdentityKeys:
    def rotator(name: str) -> Rotator:
        made.append(name)
        key = bytes([len(made)]) * 32
        return make_rotator("orthogonal", scope_key=key, angle_deg=90.0, dim=DIM)

    return IdentityKeys(space, rotator, scope=KeyScope(scope), camera_id="gate")


def test_coordinates_and_embedding_are_inverse_inside_the_space() -> None:
    space = _space()
    z = _member(space, 1)
    np.testing.assert_allclose(space.embedding(space.coordinates(z)), z, atol=1e-5)


def test_a_new_identity_lies_in_the_space_at_the_angle() -> None:
    space = _space()
    z = _member(space, 1)
    new = _keys(space, "track", []).protect(1, z)
    assert float(z @ new) == pytest.approx(0.0, abs=1e-5)
    np.testing.assert_allclose(space.embedding(space.coordinates(new)), new, atol=1e-5)


@pytest.mark.parametrize(
    ("scope", "names"), [("track", ["1", "2"]), ("recording", [""]), ("camera", ["gate"])]
)
def test_scope_decides_how_many_keys_there_are(scope: str, names: list[str]) -> None:
    space, made = _space(), list[str]()
    keys = _keys(space, scope, made)
    first, second = keys.protect(1, _member(space, 1)), keys.protect(2, _member(space, 1))
    assert made == names
    assert np.allclose(first, second) == (len(names) == 1)


def test_a_key_that_is_tried_again_and_again_is_made_once() -> None:
    space, made = _space(), list[str]()
    keys, z = _keys(space, "track", made), _member(space, 1)
    for _ in range(3):
        new = keys.propose(1, z, 2)
        found = keys.recall(1, new, 2, None)
        np.testing.assert_allclose(found, space.coordinates(z), atol=1e-5)
    keys.propose(2, z, 0)
    keys.propose(1, z, 2)
    assert made == ["1.2", "2"]
    keys.propose(1, z, 3)
    assert made == ["1.2", "2", "1.3"]


def test_mean_embedding_is_a_unit_vector() -> None:
    rows = np.eye(4, dtype=np.float32)[:2]
    mean = mean_embedding(rows)
    np.testing.assert_allclose(mean, [0.5**0.5, 0.5**0.5, 0, 0], atol=1e-6)


def test_the_basis_is_loaded_only_with_the_right_hash(tmp_path: Path) -> None:
    path = tmp_path / "basis.npy"
    np.save(path, np.eye(512, dtype=np.float32)[:DIM])
    entry = {"file": "basis.npy", "sha256": sha256_of(path)}
    manifest = json.loads(json.dumps({"identity_basis": entry}))
    assert load_identity_space(manifest, tmp_path).dim == DIM
    path.write_bytes(path.read_bytes()[:-1] + b"\0x")
    with pytest.raises(EngineLoadError, match="SHA-256"):
        load_identity_space(manifest, tmp_path)


def _composites(dim: int) -> Float32Array:
    rows = np.random.default_rng(5).normal(size=(30, dim))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), np.float32)


def test_new_identities_move_towards_people_and_originals_come_back_as_they_were(
    tmp_path: Path,
) -> None:
    files = {"identity_basis": np.eye(512, dtype=np.float32)[:DIM]}
    files["identity_composites"] = _composites(DIM)
    manifest = {}
    for name, rows in files.items():
        np.save(tmp_path / f"{name}.npy", rows)
        digest = sha256_of(tmp_path / f"{name}.npy")
        manifest[name] = {"file": f"{name}.npy", "sha256": digest}
    plain = load_identity_space(manifest, tmp_path)
    moving = load_identity_space(manifest, tmp_path, people_weight=1.0)
    z = _member(plain, 1)
    turned, moved = (_keys(space, "track", []).protect(1, z) for space in (plain, moving))
    assert 0.5 < float(turned @ moved) < 0.99
    towards = (files["identity_composites"] @ moving.coordinates(moved)).max()
    assert towards > (files["identity_composites"] @ plain.coordinates(turned)).max() + 0.1
    np.testing.assert_array_equal(moving.coordinates(z), plain.coordinates(z))


def test_composites_of_another_space_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.npy"
    np.save(path, _composites(DIM))
    entry = {"file": "some.npy", "sha256": sha256_of(path)}
    with pytest.raises(EngineLoadError, match="64 coordinates, not 512"):
        load_identity_space({"identity_composites": entry}, tmp_path)


def test_another_attempt_is_another_key_of_the_same_identity() -> None:
    space, made = _space(), list[str]()
    keys, z = _keys(space, "track", made), _member(space, 1)
    proposed = [keys.propose(7, z, attempt) for attempt in range(3)]
    assert made == ["7", "7.1", "7.2"]
    assert max(float(proposed[0] @ other) for other in proposed[1:]) < 0.9
    keys.use(7, 2)
    assert keys.scope_id(7) == "7.2"
    assert keys.scope_id(8) == "8"
    keys.protect(7, z)
    assert made[-1] == "7.2"
    keys.keep([8])
    assert keys.scope_id(7) == "7"


@pytest.mark.parametrize("scope", ["recording", "camera"])
def test_a_shared_key_stays_the_only_one(scope: str) -> None:
    space, made = _space(), list[str]()
    keys, z = _keys(space, scope, made), _member(space, 1)
    keys.propose(7, z, 1)
    keys.use(7, 1)
    keys.protect(7, z)
    assert len(set(made)) == 1
