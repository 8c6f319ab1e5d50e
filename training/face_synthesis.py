"""The face generator network: attribute encoder and identity-conditioned decoder in one graph.

The attribute encoder sees three things of a crop: what lies around the face, the face averaged over
cells (its light and skin tone), and 66 landmarks drawn as maps (pose, expression). Nothing else of
the old face reaches the decoder, so what makes a person must come from the identity. What is drawn
is held to the colours of the same cells and keeps its own light, shape and detail. The encoder is
a U-Net whose decoder gives the attribute maps; the generator is a cascade of adaptive attentional
denormalisation (AAD) residual blocks (Cao et al., 2021, section 3.3). Only plain ONNX operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.face_mask import face_mask
from training.attribute_encoder import SLOPE, AttributeEncoder, act
from training.landmarks66 import Landmarks66

__all__ = ["CELL_PX", "CROP_SIZE_PX", "IDENTITY_DIM", "FaceSynthesis"]

CROP_SIZE_PX = 160
IDENTITY_DIM = 512
CELL_PX = 16
_LUMA: Final = (0.299, 0.587, 0.114)  # BT.601
_STYLE: Final = 256
_EPS: Final = 1e-2  # with less, a flat channel is amplified until one batch wrecks a run
_HALF: Final = CROP_SIZE_PX // 2
_POINT_PX: Final = 2.5
# Jaw, brows, nose, eyes, outer and inner lips; the order of the points is the teacher's.
_GROUPS: Final = (
    tuple(range(17)),
    tuple(range(17, 22)),
    tuple(range(22, 27)),
    tuple(range(27, 36)),
    tuple(range(36, 42)),
    tuple(range(42, 48)),
    (*range(48, 59), 62),
    (59, 60, 61, 63, 64, 65),
)


# The outline: along the jaw from the viewer's left, back over raised brows.
_JAW: Final = (0, 2, 4, 6, 8, 10, 12, 14, 16)
_BROWS: Final = (26, 24, 19, 17)
_FOREHEAD_PX: Final = 20.0
_MARGIN_PX: Final = 3.0
_EDGE_PX: Final = 2.5
# Painted whatever the landmarks say: centre and half axes of brows, eyes, nose and mouth.
_CORE_PX: Final = (80.0, 94.0, 34.0, 44.0)


def _initialise(module: nn.Module) -> None:
    """Keep the variance through the layers that have no normalisation."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, a=SLOPE, mode="fan_in")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    for name in ("second", "attribute", "identity", "mask"):
        layer = getattr(module, name, None)
        if isinstance(layer, nn.Conv2d | nn.Linear):
            with torch.no_grad():  # residual branches and modulations start small
                layer.weight.mul_(0.3)


class _Aad(nn.Module):
    """Normalise, then scale and shift by attributes or identity, chosen by a learned mask."""

    def __init__(self, channels: int, attributes: int) -> None:
        super().__init__()
        # Split at a fixed place: `chunk` would ask for the shape anew in the exported graph.
        self._channels = channels
        self.identity = nn.Linear(_STYLE, 2 * channels)
        self.attribute = nn.Conv2d(attributes, 2 * channels, 1)
        self.mask = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor, style: Tensor, maps: Tensor) -> Tensor:
        centred = x - x.mean((2, 3), keepdim=True)
        x = centred * torch.rsqrt((centred * centred).mean((2, 3), keepdim=True) + _EPS)
        scale_id, shift_id = self.identity(style)[:, :, None, None].split(self._channels, 1)
        scale_attr, shift_attr = self.attribute(maps).split(self._channels, 1)
        mask = torch.sigmoid(self.mask(x))
        scale = scale_attr + mask * (scale_id - scale_attr)
        shift = shift_attr + mask * (shift_id - shift_attr)
        return x * (1.0 + scale) + shift


class _AadBlock(nn.Module):
    """Residual block of two AAD-activated convolutions."""

    def __init__(self, channels_in: int, channels_out: int, attributes: int) -> None:
        super().__init__()
        self.norm_first = _Aad(channels_in, attributes)
        self.first = nn.Conv2d(channels_in, channels_out, 3, 1, 1)
        self.norm_second = _Aad(channels_out, attributes)
        self.second = nn.Conv2d(channels_out, channels_out, 3, 1, 1)
        self.shortcut = nn.Conv2d(channels_in, channels_out, 1, bias=False)

    def forward(self, x: Tensor, style: Tensor, maps: Tensor) -> Tensor:
        y = self.first(act(self.norm_first(x, style, maps)))
        y = self.second(act(self.norm_second(y, style, maps)))
        return self.shortcut(x) + y


class _FineBlock(nn.Module):
    """The last, finest block: identity scales channels, attributes come in by concatenation."""

    def __init__(self, channels_in: int, channels: int, attributes: int) -> None:
        super().__init__()
        # Fewer channels before the map grows: at this size every channel costs the most.
        self.narrow = nn.Conv2d(channels_in, channels, 1)
        self.identity = nn.Linear(_STYLE, channels)
        self.first = nn.Conv2d(channels + attributes, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor, style: Tensor, maps: Tensor) -> Tensor:
        x = F.interpolate(act(self.narrow(x)), scale_factor=2.0)
        y = self.first(torch.cat([x, maps], 1))
        y = act(y * (1.0 + self.identity(style)[:, :, None, None]))
        return y + self.second(y)


class FaceSynthesis(nn.Module):
    """Attribute encoder and generator.

    Args:
        basis: (K, 512) orthonormal rows: the subspace that identities live in. The identity input
            is projected onto it, so what lies outside never reaches the generator.
        landmarks: Trained landmark net; frozen here.
        widths: Channels of the encoder at 80, 40, 20, 10 and 5 cells.
        attributes: Channels of the attribute maps at 5, 10, 20, 40 and 80 cells.
        decoder: Channels of the generator after its blocks at 5, 10, 20, 40 and 80 cells.
    """

    basis: Tensor
    most: Tensor
    core: Tensor
    axis: Tensor
    pixels: Tensor
    luma: Tensor

    def __init__(
        self,
        basis: Tensor,
        landmarks: Landmarks66,
        *,
        widths: Sequence[int] = (16, 32, 64, 128, 160),
        attributes: Sequence[int] = (96, 128, 80, 40, 8),
        decoder: Sequence[int] = (160, 160, 96, 48, 24),
    ) -> None:
        super().__init__()
        self.register_buffer("basis", basis)
        most = torch.from_numpy(face_mask(CROP_SIZE_PX).copy())[None, None]
        pixel = torch.arange(CROP_SIZE_PX, dtype=torch.float32)
        y, x = torch.meshgrid(pixel, pixel, indexing="ij")
        middle_x, middle_y, half_x, half_y = _CORE_PX
        radius = (((x - middle_x) / half_x) ** 2 + ((y - middle_y) / half_y) ** 2).sqrt()
        core = torch.sigmoid((1.0 - radius) * half_x / _EDGE_PX)[None, None]
        self.register_buffer("most", most, persistent=False)
        self.register_buffer("core", torch.minimum(core, most), persistent=False)
        self.register_buffer("pixels", torch.stack([x.flatten(), y.flatten()]), persistent=False)
        axis = torch.arange(_HALF, dtype=torch.float32) * 2.0 + 0.5
        self.register_buffer("axis", axis, persistent=False)
        self.register_buffer("luma", torch.tensor(_LUMA).view(1, 3, 1, 1), persistent=False)
        self.encoder = AttributeEncoder(widths, attributes, geometry_maps=len(_GROUPS))
        self.style = nn.Sequential(
            nn.Linear(len(basis), _STYLE), nn.LeakyReLU(SLOPE), nn.Linear(_STYLE, _STYLE)
        )
        self.seed = nn.Linear(_STYLE, 64 * 25)
        self.grow = nn.Conv2d(64 + attributes[0], decoder[0], 3, 1, 1)
        channels = (decoder[0], *decoder)
        self.blocks = nn.ModuleList(
            _AadBlock(channels[i], channels[i + 1], attributes[i]) for i in range(4)
        )
        self.fine = _FineBlock(decoder[3], decoder[4], attributes[4])
        self.to_rgb = nn.Conv2d(decoder[4], 12, 3, 1, 1)
        self.apply(_initialise)
        with torch.no_grad():  # start near grey
            self.to_rgb.weight.mul_(0.1)
        self.landmarks = landmarks.eval().requires_grad_(False)

    def area(self, points: Tensor) -> Tensor:
        """Where a face is painted, (N, 1, 160, 160) in [0, 1].

        The convex outline of jaw and forehead, and in any case eyes, nose and mouth of an aligned
        face: landmarks that are wrong must not leave them as they were.
        """
        raised = torch.tensor([0.0, _FOREHEAD_PX], device=points.device)
        outline = torch.cat([points[:, list(_JAW)], points[:, list(_BROWS)] - raised], 1)
        following = torch.cat([outline[:, 1:], outline[:, :1]], 1)
        edge = following - outline
        edge = edge / (edge.square().sum(2, keepdim=True) + 1e-3).sqrt()
        offset = (outline[:, :, 0] * edge[:, :, 1] - outline[:, :, 1] * edge[:, :, 0])[:, :, None]
        x, y = self.pixels[0], self.pixels[1]
        outside = (offset - x * edge[:, :, 1:] + y * edge[:, :, :1]).amax(1)
        hull = torch.sigmoid((_MARGIN_PX - outside) / _EDGE_PX)
        hull = hull.view(-1, 1, CROP_SIZE_PX, CROP_SIZE_PX)
        return torch.maximum(hull * self.most, self.core)

    def without_details(self, crop: Tensor, area: Tensor) -> Tensor:
        """The crop with its face averaged over cells."""
        cells = F.avg_pool2d(crop, CELL_PX)
        size = float(CELL_PX)
        coarse = F.interpolate(cells, scale_factor=size, mode="bilinear", align_corners=False)
        return crop + area * (coarse - crop)

    def geometry(self, points: Tensor) -> Tensor:
        """Landmarks (N, 66, 2) in pixels drawn as dots, one map a feature: (N, 8, 80, 80)."""
        across = torch.exp((points[:, :, :1] - self.axis).square() * (-0.5 / _POINT_PX**2))
        down = torch.exp((points[:, :, 1:] - self.axis).square() * (-0.5 / _POINT_PX**2))
        drawn = [down[:, list(g)].transpose(1, 2) @ across[:, list(g)] for g in _GROUPS]
        return torch.stack(drawn, 1).clamp(max=1.0)

    def known(self, crop: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """All that may be known of a crop: without details, its geometry, and the area to paint."""
        with torch.no_grad():
            points = self.landmarks(crop).float()
            area = self.area(points)
        return self.without_details(crop, area), self.geometry(points), area

    def draw(self, identity: Tensor, crop: Tensor, geometry: Tensor) -> Tensor:
        """The face (N, 3, 160, 160) of ``identity`` with what ``known`` gave; not clamped."""
        maps = self.encoder(crop, geometry)
        coordinates = identity @ self.basis.t()
        # Scaled to unit variance, the usual range of a layer's input.
        norm = coordinates.pow(2).sum(1, keepdim=True).clamp_min(1e-12).rsqrt()
        style = act(self.style(coordinates * norm * len(self.basis) ** 0.5))
        x = self.grow(torch.cat([self.seed(style).view(-1, 64, 5, 5), maps[0]], 1))
        for i, block in enumerate(self.blocks):
            if i:
                x = F.interpolate(x, scale_factor=2.0)
            x = block(x, style, maps[i])
        x = self.fine(x, style, maps[4])
        return F.pixel_shuffle(self.to_rgb(x), 2)

    def with_colours_of(self, crop: Tensor, face: Tensor) -> Tensor:
        """The face with the colours of the crop, averaged over cells, and its own light."""
        missing = F.interpolate(
            F.avg_pool2d(crop - face, CELL_PX),
            scale_factor=float(CELL_PX), mode="bilinear", align_corners=False,
        )  # fmt: skip
        return face + missing - (missing * self.luma).sum(1, keepdim=True)

    def forward(self, crop: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        """Make a new face.

        Args:
            crop: (N, 3, 160, 160) RGB in [-1, 1].
            identity: (N, 512) of any length.

        Returns:
            The face (N, 3, 160, 160), in [-1, 1] except while training, and alpha
            (N, 1, 160, 160) in [0, 1]: the area that is painted.
        """
        coarse, geometry, alpha = self.known(crop)
        face = self.with_colours_of(crop, self.draw(identity, coarse, geometry))
        # No tanh: a step that is too large saturates it, and then no gradient ever comes back.
        return (face if self.training else face.clamp(-1.0, 1.0)), alpha
