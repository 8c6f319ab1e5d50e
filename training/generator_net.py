"""The face generator network: attribute encoder and identity-conditioned decoder in one graph.

The face area of the crop is averaged over cells first, so details can come from the identity alone.
The attribute encoder is a U-Net whose decoder gives the attribute maps (5, 10, 20 and 40 cells wide
plus a thin map at 80); the generator is a cascade of adaptive attentional denormalisation (AAD)
residual blocks that mix those maps with the wanted identity. A pixel-unshuffle stem and dense 3x3
convolutions keep both parts near one billion multiply-adds a face. Only plain ONNX operators.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.face_mask import face_mask

__all__ = ["CELL_PX", "CROP_SIZE_PX", "IDENTITY_DIM", "FaceNet", "prior_alpha"]

CROP_SIZE_PX = 160
IDENTITY_DIM = 512
CELL_PX = 16
_STYLE = 256
_SLOPE = 0.1
_EPS = 1e-2  # with less, a flat channel is amplified until one batch wrecks a run


def prior_alpha() -> Tensor:
    """Logits (1, 1, 160, 160) of the alpha: the whole area that may be painted.

    The network may only move the value a little: an alpha that training may choose freely goes to
    zero and copies the input.
    """
    return torch.where(_face_area() > 0, 8.0, -12.0)


def _face_area() -> Tensor:
    return torch.from_numpy(face_mask(CROP_SIZE_PX).copy())[None, None]


def _initialise(module: nn.Module) -> None:
    """Keep the variance through the layers that have no normalisation."""
    if isinstance(module, nn.Conv2d | nn.Linear):
        nn.init.kaiming_normal_(module.weight, a=_SLOPE, mode="fan_in")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    for name in ("second", "attribute", "identity", "mask"):
        layer = getattr(module, name, None)
        if isinstance(
            layer, nn.Conv2d | nn.Linear
        ):  # residual branches and modulations start small
            with torch.no_grad():
                layer.weight.mul_(0.3)


def _act(x: Tensor) -> Tensor:
    return F.leaky_relu(x, _SLOPE)


class _ResBlock(nn.Module):
    """Two 3x3 convolutions with a residual connection, no normalisation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(_act(self.first(x)))


class AttributeEncoder(nn.Module):
    """Crop to attribute maps, coarse to fine.

    Args:
        widths: Channels at 80, 40, 20, 10 and 5 cells.
        attributes: Channels of the attribute maps at 5, 10, 20, 40 and 80 cells.
    """

    def __init__(self, widths: tuple[int, ...], attributes: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(12, widths[0], 3, 1, 1)
        self.downs = nn.ModuleList(nn.Conv2d(a, b, 3, 2, 1) for a, b in itertools.pairwise(widths))
        self.blocks = nn.ModuleList(_ResBlock(c) for c in widths[1:])
        coarse_to_fine = widths[::-1]
        self.heads = nn.ModuleList(
            nn.Conv2d(c + (attributes[i - 1] if i else 0), attributes[i], 1)
            for i, c in enumerate(coarse_to_fine)
        )

    def forward(self, crop: Tensor) -> list[Tensor]:
        """(N, 3, S, S) in [-1, 1] to maps of S/32, S/16, S/8, S/4 and S/2 cells."""
        x = _act(self.stem(F.pixel_unshuffle(crop, 2)))
        levels = [x]
        for down, block in zip(self.downs, self.blocks, strict=True):
            x = block(_act(down(x)))
            levels.append(x)
        maps: list[Tensor] = []
        for head, level in zip(self.heads, reversed(levels), strict=True):
            if maps:
                level = torch.cat([level, F.interpolate(maps[-1], scale_factor=2.0)], 1)
            maps.append(_act(head(level)))
        return maps


class _Aad(nn.Module):
    """Normalise, then scale and shift by attributes or identity, chosen by a learned mask."""

    def __init__(self, channels: int, attributes: int) -> None:
        super().__init__()
        self.identity = nn.Linear(_STYLE, 2 * channels)
        self.attribute = nn.Conv2d(attributes, 2 * channels, 1)
        self.mask = nn.Conv2d(channels, 1, 1)

    def forward(self, x: Tensor, style: Tensor, maps: Tensor) -> Tensor:
        centred = x - x.mean((2, 3), keepdim=True)
        x = centred * torch.rsqrt((centred * centred).mean((2, 3), keepdim=True) + _EPS)
        scale_id, shift_id = self.identity(style)[:, :, None, None].chunk(2, 1)
        scale_attr, shift_attr = self.attribute(maps).chunk(2, 1)
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
        y = self.first(_act(self.norm_first(x, style, maps)))
        y = self.second(_act(self.norm_second(y, style, maps)))
        return self.shortcut(x) + y


class _FineBlock(nn.Module):
    """The last, finest block: identity scales channels, attributes come in by concatenation."""

    def __init__(self, channels_in: int, channels: int, attributes: int) -> None:
        super().__init__()
        self.identity = nn.Linear(_STYLE, channels)
        self.first = nn.Conv2d(channels_in + attributes, channels, 3, 1, 1)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1)

    def forward(self, x: Tensor, style: Tensor, maps: Tensor) -> Tensor:
        y = self.first(torch.cat([x, maps], 1))
        y = _act(y * (1.0 + self.identity(style)[:, :, None, None]))
        return y + self.second(y)


class FaceNet(nn.Module):
    """Attribute encoder and generator.

    Args:
        basis: (K, 512) orthonormal rows: the subspace that identities live in. The identity input
            is projected onto it, so what lies outside never reaches the generator.
        widths: Channels of the encoder at 80, 40, 20, 10 and 5 cells.
        attributes: Channels of the attribute maps at 5, 10, 20, 40 and 80 cells.
        decoder: Channels of the generator after its blocks at 5, 10, 20, 40 and 80 cells.
    """

    basis: Tensor
    alpha_prior: Tensor
    face_area: Tensor

    def __init__(
        self,
        basis: Tensor,
        *,
        widths: tuple[int, ...] = (16, 48, 96, 192, 192),
        attributes: tuple[int, ...] = (128, 160, 96, 48, 8),
        decoder: tuple[int, ...] = (192, 192, 96, 48, 32),
    ) -> None:
        super().__init__()
        self.register_buffer("basis", basis)
        self.register_buffer("alpha_prior", prior_alpha(), persistent=False)
        self.register_buffer("face_area", _face_area(), persistent=False)
        self.encoder = AttributeEncoder(widths, attributes)
        self.style = nn.Sequential(
            nn.Linear(len(basis), _STYLE), nn.LeakyReLU(_SLOPE), nn.Linear(_STYLE, _STYLE)
        )
        self.seed = nn.Linear(_STYLE, 64 * 25)
        self.grow = nn.Conv2d(64 + attributes[0], decoder[0], 3, 1, 1)
        channels = (decoder[0], *decoder)
        self.blocks = nn.ModuleList(
            _AadBlock(channels[i], channels[i + 1], attributes[i]) for i in range(4)
        )
        self.fine = _FineBlock(decoder[3], decoder[4], attributes[4])
        self.to_rgb = nn.Conv2d(decoder[4], 12, 3, 1, 1)
        self.to_alpha = nn.Conv2d(decoder[3], 1, 1)
        self.apply(_initialise)
        with torch.no_grad():  # start near grey
            self.to_rgb.weight.mul_(0.1)
        nn.init.zeros_(self.to_alpha.weight)
        nn.init.zeros_(self.to_alpha.bias)

    def without_details(self, crop: Tensor) -> Tensor:
        """The crop with its face area averaged over cells.

        The attribute encoder sees no more than this of a face, so only the identity can bring back
        eyes, nose and mouth; what a skip connection could carry past the identity is not there.
        """
        cells = F.avg_pool2d(crop, CELL_PX)
        coarse = F.interpolate(
            cells, scale_factor=float(CELL_PX), mode="bilinear", align_corners=False
        )
        return crop + self.face_area * (coarse - crop)

    def forward(self, crop: Tensor, identity: Tensor) -> tuple[Tensor, Tensor]:
        """Make a new face.

        Args:
            crop: (N, 3, 160, 160) RGB in [-1, 1].
            identity: (N, 512) unit vectors.

        Returns:
            The face (N, 3, 160, 160), in [-1, 1] except while training, and alpha
            (N, 1, 160, 160) in [0, 1].
        """
        maps = self.encoder(self.without_details(crop))
        coordinates = identity @ self.basis.t()
        # Scaled to unit variance, the usual range of a layer's input.
        norm = coordinates.pow(2).sum(1, keepdim=True).clamp_min(1e-12).rsqrt()
        style = _act(self.style(coordinates * norm * len(self.basis) ** 0.5))
        x = self.grow(torch.cat([self.seed(style).view(-1, 64, 5, 5), maps[0]], 1))
        for i, block in enumerate(self.blocks):
            if i:
                x = F.interpolate(x, scale_factor=2.0)
            x = block(x, style, maps[i])
        border = F.interpolate(self.to_alpha(x), scale_factor=4.0, mode="bilinear")
        alpha = torch.sigmoid(self.alpha_prior + 3.0 * torch.tanh(border))
        x = self.fine(F.interpolate(x, scale_factor=2.0), style, maps[4])
        face = F.pixel_shuffle(self.to_rgb(x), 2)
        # No tanh: a step that is too large saturates it, and then no gradient ever comes back.
        return (face if self.training else face.clamp(-1.0, 1.0)), alpha
