"""Identities that keyed rotations ask for: their angle, errors of reading, and composites."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from engines.identity_blocks import identity_blocks
from engines.identity_composites import IdentityComposites

torch = pytest.importorskip("torch", reason="training needs torch: pip install .[train]")

from tests.training.identities import basis, unit_rows  # noqa: E402 - after the skip
from training.composites import (  # noqa: E402 - after the skip
    composites_of,
    load_composites,
    save_composites,
)
from training.keyed_identities import (  # noqa: E402 - after the skip
    noisy_identity,
    people_like,
    rotated_targets,
)


def test_rotated_targets_turn_by_the_angle_inside_the_subspace() -> None:
    space, generator = basis(20), torch.Generator().manual_seed(3)
    identities = unit_rows(5) @ space.t() @ space
    identities = torch.nn.functional.normalize(identities, dim=1)
    turned = rotated_targets(identities, space, torch.full((5,), 70.0), generator)
    cosines = (turned * identities).sum(1)
    assert torch.allclose(cosines, torch.full((5,), float(np.cos(np.radians(70)))), atol=1e-5)
    assert torch.allclose(turned @ space.t() @ space, turned, atol=1e-5)


def test_noisy_identities_are_as_near_as_blocks_are_read() -> None:
    space = basis(190)
    identities = torch.nn.functional.normalize(unit_rows(300) @ space.t() @ space, dim=1)
    noisy = noisy_identity(identities, space, torch.Generator().manual_seed(1))
    assert torch.allclose(noisy.norm(dim=1), torch.ones(300), atol=1e-5)
    a, b = identities @ space.t(), noisy @ space.t()
    for (start, end), near in zip(identity_blocks(190), (0.75, 0.62, 0.45, 0.25), strict=True):
        found = torch.nn.functional.cosine_similarity(a[:, start:end], b[:, start:end])
        assert abs(float(found.mean()) - near) < 0.03


def test_identities_move_towards_composites_as_far_as_the_weight_says() -> None:
    space = basis(20)
    composites = IdentityComposites(unit_rows(5).numpy()[:, :20] @ np.eye(20, dtype=np.float32))
    identities = torch.nn.functional.normalize(unit_rows(3) @ space.t() @ space, dim=1)
    weights = torch.tensor([0.0, 0.5, 4.0])
    moved = people_like(identities, space, composites, weights)
    assert torch.allclose(moved[0], identities[0], atol=1e-5)
    near = (moved * identities).sum(1)
    assert float(near[0]) > float(near[1]) > float(near[2])
    assert torch.allclose(moved @ space.t() @ space, moved, atol=1e-5)


def test_composites_are_means_of_several_adults(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    centres = np.linalg.qr(rng.normal(size=(8, 8)))[0][:4]
    pictures = np.repeat(centres, 10, 0) + 0.05 * rng.normal(size=(40, 8))
    pictures = (pictures / np.linalg.norm(pictures, axis=1, keepdims=True)).astype(np.float32)
    people = np.arange(40)
    people[30:] = 30  # the last ten pictures show one person
    ages = np.full(40, np.nan, np.float32)
    ages[:10], ages[10:12] = 40.0, (3.0, 5.0)  # the second group are children, as far as is known
    found = composites_of(pictures, people, ages, cells=4, fewest_people=4, seed=1)
    likest = found @ centres.T
    assert likest.max(1).min() > 0.95
    assert set(likest.argmax(1)) == {0, 2}
    assert np.allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    save_composites(tmp_path / "some.npy", found)
    np.testing.assert_allclose(load_composites(tmp_path / "some.npy"), found, atol=1e-3)
