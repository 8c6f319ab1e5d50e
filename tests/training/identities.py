"""Made-up identities for the tests of the trainings."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["basis", "unit_rows"]


def basis(dim: int = 6) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.linalg.qr(torch.randn(512, dim, generator=generator))[0].t().contiguous()


def unit_rows(count: int, dim: int = 512) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.nn.functional.normalize(torch.randn(count, dim, generator=generator), dim=1)
