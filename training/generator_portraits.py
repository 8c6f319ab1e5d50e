"""The protecting branch of the generator: synthetic portraits fitted to a crop, in one graph.

The wanted identity chooses two AI-generated people from a gallery; their faces are warped to the
crop's landmarks, the eyes and brow of one and the mouth and jaw of the other, and take its light.
Landmarks come from our own distilled net. Only plain ONNX operators (GridSample among them).
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.landmarks66 import Landmarks66

__all__ = ["PortraitNet"]

_SIZE: Final = 160
_NODES: Final = 20
_WIDTHS_PX: Final = (24.0, 12.0, 7.0)
_JAW: Final = (0, 2, 4, 6, 8, 10, 12, 14, 16)
_BROWS: Final = (26, 24, 19, 17)
_FOREHEAD_PX: Final = 18.0
_EDGE_PX: Final = 2.5
_INSET_PX: Final = -1.0


class PortraitNet(nn.Module):
    """Crop and identity to the face of a synthetic person.

    Args:
        landmarks: Trained landmark net.
        portraits: (K, 3, 160, 160) in [-1, 1], aligned as the crops are.
        keys: (2, K, D) unit rows: what the coordinates of an identity are compared with, for the
            upper and the lower face.
    """

    portraits: Tensor
    marks: Tensor
    keys: Tensor
    pixels: Tensor
    nodes: Tensor

    def __init__(self, landmarks: Landmarks66, portraits: Tensor, keys: Tensor) -> None:
        super().__init__()
        self.landmarks = landmarks.eval().requires_grad_(False)
        with torch.no_grad():  # the same net for both sides, so that its bias cancels
            marks = landmarks(portraits).float()
        pixels = ((portraits + 1.0) * 127.5).round().clamp(0, 255)
        self.register_buffer("portraits", pixels.to(torch.uint8))  # a quarter of the file
        self.register_buffer("marks", marks)
        self.register_buffer("keys", keys)
        self.register_buffer("pixels", _grid(_SIZE), persistent=False)
        self.register_buffer("nodes", _grid(_NODES), persistent=False)

    def forward(self, crop: Tensor, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """(N, 3, 160, 160) and (N, D) to the face in [-1, 1] and its alpha (N, 1, 160, 160)."""
        here = self.landmarks(crop)
        alpha = self._alpha(here)
        upper = self._fitted((coordinates @ self.keys[0].t()).argmax(1), here)
        lower = self._fitted((coordinates @ self.keys[1].t()).argmax(1), here)
        middle = here[:, 27:36, 1].amax(1)[:, None, None, None] - 10.0
        share = torch.sigmoid((self.pixels[:, 1].view(1, 1, _SIZE, _SIZE) - middle) / 4.0)
        upper, lower = self._lit(upper, crop, alpha), self._lit(lower, crop, alpha)
        return (upper + share * (lower - upper)).clamp(-1.0, 1.0), alpha

    def _fitted(self, row: Tensor, here: Tensor) -> Tensor:
        """The portraits of ``row`` (N,), warped to the landmarks ``here`` (N, 66, 2)."""
        wanted = self.marks[row] - here
        at_nodes = torch.zeros_like(here[:, :1]) + torch.zeros_like(self.nodes)[None]
        at_marks = torch.zeros_like(here)
        for width in _WIDTHS_PX:  # coarse to fine, each corrects what the last left
            rest = wanted - at_marks
            at_nodes = at_nodes + _spread(self.nodes[None], here, rest, width)
            at_marks = at_marks + _spread(here, here, rest, width)
        field = at_nodes.transpose(1, 2).reshape(-1, 2, _NODES, _NODES)
        field = F.interpolate(field, scale_factor=8.0, mode="bilinear", align_corners=False)
        place = field.permute(0, 2, 3, 1) + self.pixels.view(1, _SIZE, _SIZE, 2)
        place = (2.0 * place + 1.0) / _SIZE - 1.0
        faces = self.portraits[row].float() / 127.5 - 1.0
        return F.grid_sample(
            faces, place, mode="bilinear", padding_mode="border", align_corners=False
        )

    def _lit(self, face: Tensor, crop: Tensor, alpha: Tensor) -> Tensor:
        """The face with the crop's low frequencies inside ``alpha``."""
        weight = F.avg_pool2d(alpha, 8)
        light = _smooth(F.avg_pool2d((crop - face) * alpha, 8)) / (_smooth(weight) + 0.02)
        light = F.interpolate(light, scale_factor=8.0, mode="bilinear", align_corners=False)
        return face + light

    def _alpha(self, here: Tensor) -> Tensor:
        """Soft convex outline of jaw and raised brows."""
        raised = torch.tensor([0.0, _FOREHEAD_PX])
        outline = torch.cat([here[:, list(_JAW)], here[:, list(_BROWS)] - raised], 1)
        following = torch.cat([outline[:, 1:], outline[:, :1]], 1)
        edge = following - outline
        edge = edge / (edge.square().sum(2, keepdim=True) + 1e-3).sqrt()
        offset = (outline[:, :, 0] * edge[:, :, 1] - outline[:, :, 1] * edge[:, :, 0])[:, :, None]
        x, y = self.pixels[:, 0], self.pixels[:, 1]
        # The outline runs along the jaw from the viewer's left: its inside is on this side.
        inside = offset - x * edge[:, :, 1:] + y * edge[:, :, :1]
        nearest = -(inside.amax(1))
        alpha = torch.sigmoid((nearest - _INSET_PX) / _EDGE_PX)
        return alpha.view(-1, 1, _SIZE, _SIZE)


def _spread(at: Tensor, points: Tensor, values: Tensor, width_px: float) -> Tensor:
    """Gaussian-weighted means of ``values`` (N, P, 2) at ``at`` (N or 1, Q, 2)."""
    square = (at[:, :, None] - points[:, None]).square().sum(3)
    weight = torch.exp(square * (-0.5 / width_px**2))
    return weight @ values / (weight.sum(2, keepdim=True) + 0.05)


def _smooth(x: Tensor) -> Tensor:
    return F.avg_pool2d(F.avg_pool2d(x, 3, 1, 1), 3, 1, 1)


def _grid(count: int) -> Tensor:
    """(count * count, 2) x, y of cell centres in crop pixels, row by row."""
    axis = (torch.arange(count, dtype=torch.float32) + 0.5) * (_SIZE / count) - 0.5
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], 1)
