"""Identities that keyed rotations ask for, and what comes back of them."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from engines.identity_blocks import identity_blocks
from engines.identity_composites import IdentityComposites
from training.losses_identity import cosine

__all__ = ["noisy_identity", "people_like", "randomly_turned", "rotated_targets"]

# Cosines at which the blocks of a wanted identity are read from a new face (docs/decisions/0075).
_READ_COSINES: Final = (0.75, 0.62, 0.45, 0.25)
_ANGLES_DEG: Final = (60.0, 120.0)


def people_like(
    identities: Tensor, basis: Tensor, composites: IdentityComposites, weights: Tensor
) -> Tensor:
    """Identities moved towards the composites of people, as before they are drawn.

    Args:
        identities: (N, 512) unit vectors of the subspace.
        basis: (K, 512) orthonormal rows.
        composites: of the same subspace.
        weights: (N,) of the nearest composites beside 1 of the identity.

    Returns:
        (N, 512) unit vectors.
    """
    c = F.normalize(identities @ basis.t(), dim=1).float().cpu().numpy()
    moved = torch.from_numpy(composites.towards(c, weights.float().cpu().numpy()))
    return moved.to(identities.device) @ basis


def rotated_targets(
    identities: Tensor, basis: Tensor, angles_deg: Tensor, generator: torch.Generator
) -> Tensor:
    """What a keyed rotation inside the blocks of the identity subspace does, a fresh key for each.

    For a random skew orthogonal J the vector J c is uniform on the directions orthogonal to c, so a
    random orthogonal direction has the same distribution and costs nothing.

    Args:
        identities: (N, 512) unit vectors.
        basis: (K, 512) orthonormal rows.
        angles_deg: (N,).
        generator: Source of the directions.

    Returns:
        (N, 512) unit vectors in the subspace, turned by exactly the angles.
    """
    c = F.normalize(identities @ basis.t(), dim=1)
    angle = torch.deg2rad(angles_deg)[:, None]
    return (torch.cos(angle) * c + torch.sin(angle) * _across(c, generator)) @ basis


def randomly_turned(identities: Tensor, basis: Tensor, generator: torch.Generator) -> Tensor:
    """``rotated_targets`` by random angles, about those that the product turns by."""
    low, high = _ANGLES_DEG
    angles = low + (high - low) * torch.rand(len(identities), generator=generator)
    return rotated_targets(identities, basis, angles, generator)


def _across(c: Tensor, generator: torch.Generator) -> Tensor:
    """Random vectors that are orthogonal to (N, K) coordinates and as long, block by block."""
    parts = []
    for start, end in identity_blocks(c.shape[1]):
        part = c[:, start:end]
        unit = F.normalize(part, dim=1)
        noise = torch.randn(part.shape, generator=generator)
        noise = F.normalize(noise - cosine(noise, unit)[:, None] * unit, dim=1)
        parts.append(part.norm(dim=1, keepdim=True) * noise)
    return torch.cat(parts, 1)


def noisy_identity(identities: Tensor, basis: Tensor, generator: torch.Generator) -> Tensor:
    """Identities as they come back when they were read from a protected face and turned back.

    Each block is as near to the truth as it is read, and as short as that makes its likeliest
    value.

    Args:
        identities: (N, 512) unit vectors.
        basis: (K, 512) orthonormal rows.
        generator: Source of the directions, and of how well each face is read.

    Returns:
        (N, 512) unit vectors in the subspace.
    """
    c = F.normalize(identities @ basis.t(), dim=1)
    across = _across(c, generator)
    sizes = [end - start for start, end in identity_blocks(c.shape[1])]
    typical = [c.new_full((n,), near) for n, near in zip(sizes, _READ_COSINES, strict=False)]
    luck = 0.8 + 0.4 * torch.rand((len(c), 1), generator=generator)
    read = (torch.cat(typical) * luck).clamp(max=0.98)
    return F.normalize(read * (read * c + (1.0 - read.square()).sqrt() * across), dim=1) @ basis
