"""Identity losses: frozen recognisers, the wanted identity, and distance from the old one."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.identity_blocks import identity_blocks
from training.onnx_graph import OnnxGraph

__all__ = [
    "IdentityReader",
    "OwnReader",
    "cosine",
    "declare_vision_operators",
    "load_readers",
    "noisy_identity",
    "old_identity_hinge",
    "recogniser_window",
    "rotated_targets",
]

_MARGIN_PX: Final = 24
_FACE_PX: Final = 112
# Cosines at which the blocks of a wanted identity are read from a new face (docs/decisions/0075).
_READ_COSINES: Final = (0.75, 0.62, 0.45, 0.25)


def load_readers(teachers: ModuleType) -> tuple[IdentityReader, OnnxGraph]:
    """EdgeFace-XS, crops (N, 3, 160, 160) to unit embeddings, and MobileFaceNet's bare network."""
    declare_vision_operators()
    primary = IdentityReader(teachers.load_edgeface_torch())
    return primary, OnnxGraph(teachers.FOLDER / "mobilefacenet_foamliu.onnx")


def declare_vision_operators() -> None:
    """Let timm import where torchvision was built for another torch; it needs none of these.

    Not where torchvision fits: it declares them itself, and twice is fatal.
    """
    try:
        importlib.import_module("torchvision")
        return
    except (ImportError, OSError, RuntimeError):
        pass
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    _KEPT.append(library)


_KEPT: list[Any] = []  # a library's operators vanish when it is collected


def recogniser_window(crops: Tensor, shift_px: tuple[int, int] = (0, 0)) -> Tensor:
    """What a recogniser sees of aligned crops, (N, C, 160, 160) to (N, C, 112, 112).

    The window may be shifted by (y, x).
    """
    top, left = _MARGIN_PX + shift_px[0], _MARGIN_PX + shift_px[1]
    return crops[:, :, top : top + _FACE_PX, left : left + _FACE_PX]


class IdentityReader(nn.Module):
    """A frozen recogniser that reads the recogniser's window of an aligned crop.

    Args:
        network: (N, 3, 112, 112) in [-1, 1] to raw embeddings.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.eval().requires_grad_(False)

    def forward(self, crops: Tensor, shift_px: tuple[int, int] = (0, 0)) -> Tensor:
        """(N, 3, 160, 160) in [-1, 1] to (N, D) unit vectors; the window may be shifted (y, x)."""
        window = recogniser_window(crops, shift_px)
        window = window.contiguous(memory_format=torch.channels_last)
        return F.normalize(self.network(window).float(), dim=1)


class OwnReader(nn.Module):
    """The encoder that ships, frozen: crop (N, 3, 160, 160) to unit embeddings.

    Args:
        encoder: Network from (N, 3, S, S) in [-1, 1] to raw embeddings.
        inner_px: The S it was trained for.
    """

    def __init__(self, encoder: nn.Module, *, inner_px: int) -> None:
        super().__init__()
        self.encoder = encoder.eval().requires_grad_(False)
        self.inner_px = inner_px

    def forward(self, crops: Tensor, shift_px: tuple[int, int] = (0, 0)) -> Tensor:
        """Unit embeddings (N, 512), crop and mirror image averaged as in the shipped graph."""
        window = recogniser_window(crops, shift_px)
        size = (self.inner_px, self.inner_px)
        small = F.interpolate(window, size=size, mode="bilinear", align_corners=False)
        both = torch.cat([small, small.flip(3)]).contiguous(memory_format=torch.channels_last)
        found = F.normalize(self.encoder(both).float(), dim=1)
        return F.normalize(found[: len(crops)] + found[len(crops) :], dim=1)


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """(N,) cosines of two sets of unit vectors."""
    return (a * b).sum(1)


def old_identity_hinge(found: Tensor, old: Tensor, *, allowed: float) -> Tensor:
    """(N,) how far the cosine to the old identity lies above ``allowed``."""
    return F.relu(cosine(found, old) - allowed)


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
