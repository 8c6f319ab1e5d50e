"""Identity losses: frozen recognisers, the wanted identity, and distance from the old one."""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.onnx_graph import OnnxGraph

__all__ = [
    "IdentityReader",
    "OwnReader",
    "cosine",
    "declare_vision_operators",
    "load_readers",
    "old_identity_hinge",
    "recogniser_window",
]

_MARGIN_PX: Final = 24
_FACE_PX: Final = 112


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
