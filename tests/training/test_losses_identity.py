"""Losses on identities: keyed rotations, errors of reading, and distance from the old one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from engines.identity_blocks import identity_blocks

torch = pytest.importorskip("torch", reason="training needs torch: pip install .[train]")
pytest.importorskip("onnx", reason="teachers are ONNX files")

from tests.training.identities import basis, unit_rows  # noqa: E402 - after the skip
from training.losses_identity import (  # noqa: E402 - after the skip
    OwnReader,
    noisy_identity,
    old_identity_hinge,
    rotated_targets,
)

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
else:
    Module = torch.nn.Module


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


def test_own_reader_averages_the_mirror_image() -> None:
    class Flat(Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.nn.functional.pad(x.flatten(1), (0, 1), value=1.0)

    crops = torch.rand(2, 3, 160, 160)
    reader = OwnReader(Flat(), inner_px=8)
    assert torch.allclose(reader(crops), reader(crops.flip(3)), atol=1e-3)
    assert torch.allclose(reader(crops).norm(dim=1), torch.ones(2), atol=1e-5)


def test_identity_losses() -> None:
    a = unit_rows(2)
    assert torch.allclose(old_identity_hinge(a, a, allowed=0.2), torch.full((2,), 0.8), atol=1e-5)
    assert torch.all(old_identity_hinge(a, -a, allowed=0.2) == 0)
