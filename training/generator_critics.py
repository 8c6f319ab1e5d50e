"""What judges the new faces while the generator trains: three critics that do not ship."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.discriminator import (
    Discriminator,
    FeatureCritic,
    discriminator_loss,
    generator_loss,
)
from training.face_synthesis import FaceSynthesis
from training.generator_data import Batch
from training.generator_draws import Fakes
from training.looks_net import LooksNet, looks_loss
from training.losses_identity import recogniser_window
from training.losses_image import composite

__all__ = ["Critics", "own_faces"]


class Critics(nn.Module):
    """Critics of pixels, of features, and of how a face suits its head.

    The first two tell new faces from photographs, patch by patch. The third sees the whole head,
    drawn for the person's own identity and for the wanted one; as both are drawn, only what does
    not belong there tells them apart: painted eyes on a man, young brows on an old woman.

    Args:
        pixels: The first.
        features: The second.
    """

    def __init__(self, pixels: Discriminator, features: FeatureCritic) -> None:
        super().__init__()
        self.pixels, self.features = pixels, features
        self.heads = LooksNet()

    def generator_losses(
        self, crops: Tensor, maps: list[Tensor], area: Tensor, *, taught: int, with_heads: bool
    ) -> dict[str, Tensor]:
        """What the generator is told, by critic; the critics themselves learn nothing.

        Args:
            crops: (N, 3, S, S) in [-1, 1], new faces in their crops: lessons, then swaps.
            maps: Their feature maps.
            area: (N, 1, S, S) in [0, 1], where they are synthetic.
            taught: Lessons among them; whether those suit their heads is not asked.
            with_heads: Ask the third critic, too.
        """
        self.requires_grad_(False)  # only the faces need gradients here
        losses = {
            "pixels": generator_loss(self.pixels(crops), area),
            "features": generator_loss(self.features(maps), recogniser_window(area)),
        }
        if with_heads and taught < len(crops):
            self.heads.eval()
            losses["heads"] = F.softplus(-self.heads(_halved(crops[taught:]))).mean()
        return losses

    def losses(
        self, real: Tensor, real_maps: list[Tensor], real_area: Tensor, fakes: Fakes
    ) -> dict[str, Tensor]:
        """What the critics miss, and the share of heads that the third tells right.

        Args:
            real: (N, 3, S, S) in [-1, 1], photographs, as many as fakes.
            real_maps: Their feature maps.
            real_area: Where a face would be painted.
            fakes: New faces.
        """
        self.requires_grad_(True)
        areas = real_area, fakes.area
        found = {
            "critic": discriminator_loss(self.pixels(real), self.pixels(fakes.crops), *areas),
            "critic_features": discriminator_loss(
                self.features(real_maps),
                self.features(fakes.maps),
                *(recogniser_window(area) for area in areas),
            ),
        }
        if len(fakes.own):
            self.heads.train()
            both = torch.cat([fakes.own, fakes.crops[-len(fakes.own) :]])
            scores = self.heads(_halved(both)).float().view(2, -1).t()
            found["critic_heads"], found["heads_right"] = looks_loss(scores)
        return found


@torch.no_grad()
def own_faces(net: FaceSynthesis, batch: Batch, taught: int) -> Tensor:
    """The swaps' crops with the person's own face, drawn as the new ones are."""
    crops = batch.crops[taught:].contiguous(memory_format=torch.channels_last)
    if not len(crops):
        return crops
    face, alpha = net(crops, batch.identities[taught:])
    return composite(face.float(), alpha, crops)


def _halved(crops: Tensor) -> Tensor:
    return F.avg_pool2d(crops, 2)
