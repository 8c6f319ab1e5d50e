"""The shipped generator: portraits protect, the trained network restores."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from training.face_synthesis import FaceSynthesis
from training.generator_net import FaceNet
from training.generator_portraits import PortraitNet

__all__ = ["HybridNet"]

_BETWEEN = 1.5


class HybridNet(nn.Module):
    """Both branches in one graph, chosen for each face by the length of its identity.

    A unit identity is a wanted one: the face is replaced by a synthetic portrait. An identity of
    length 2 is an original one: the trained network rebuilds that person from the protected crop.

    Args:
        faces: The trained network.
        portraits: The protecting branch; its keys compare with coordinates in ``faces.basis``.
    """

    def __init__(self, faces: FaceSynthesis | FaceNet, portraits: PortraitNet) -> None:
        super().__init__()
        self.faces = faces
        self.portraits = portraits

    def forward(self, crop: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, 160, 160) and (N, 512) to the face and its alpha (N, 1, 160, 160)."""
        restore = (identity.square().sum(1) > _BETWEEN**2)[:, None, None, None]
        protected, outline = self.portraits(crop, identity @ self.faces.basis.t())
        rebuilt, area = self.faces(crop, identity)
        return torch.where(restore, rebuilt, protected), torch.where(restore, area, outline)
