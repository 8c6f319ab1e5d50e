"""Losses on identities: what the shipped encoder reads, and distance from the old one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install .[train]")
pytest.importorskip("onnx", reason="teachers are ONNX files")

from tests.training.identities import unit_rows  # noqa: E402 - after the skip
from training.losses_identity import OwnReader, old_identity_hinge  # noqa: E402 - after the skip

if TYPE_CHECKING:
    from torch import Tensor
    from torch.nn import Module
else:
    Module = torch.nn.Module


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
