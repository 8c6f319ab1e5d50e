"""The faces that a training step of the generator draws: lessons, then swaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from engines.identity_composites import IdentityComposites
from training.face_synthesis import FaceSynthesis
from training.generator_data import Batch
from training.generator_lessons import Lessons, make_lessons
from training.generator_options import Mixture
from training.generator_pairs import paired, strangers
from training.keyed_identities import people_like, rotated_targets
from training.losses_image import composite

__all__ = ["Drawn", "Fakes", "draw_faces"]


class Drawn(NamedTuple):
    """Faces of a step: of the batch's N, ``taught`` are lessons and the others are swaps.

    Attributes:
        batch: What they were drawn from; in pairs, where that was asked for.
        lessons: What goes into the first faces, and what must come out.
        taught: How many lessons there are.
        wanted: (N, 512) identities that were asked for.
        rotated: (N - taught,) bool, which swaps were asked for a keyed rotation.
        face: (N, 3, S, S) float32 in [-1, 1], new faces.
        output: (N, 3, S, S) the same, blended into the crops.
        area: (N, 1, S, S) in [0, 1], where it was.
    """

    batch: Batch
    lessons: Lessons
    taught: int
    wanted: Tensor
    rotated: Tensor
    face: Tensor
    output: Tensor
    area: Tensor


@dataclass(frozen=True, slots=True, eq=False)
class Fakes:
    """What the critics see of a step.

    Attributes:
        crops: (N, 3, S, S) in [-1, 1].
        maps: Their feature maps.
        area: (N, 1, S, S) in [0, 1], where they are synthetic.
        own: (M, 3, S, S), what the last M crops look like with the person's own face, drawn, too.
    """

    crops: Tensor
    maps: list[Tensor]
    area: Tensor
    own: Tensor


def draw_faces(
    net: FaceSynthesis,
    own: nn.Module,
    batch: Batch,
    *,
    composites: IdentityComposites,
    mixture: Mixture,
    in_pairs: bool,
    generator: torch.Generator,
) -> Drawn:
    """Draw the faces of a batch.

    Args:
        net: The network being trained.
        own: The encoder that ships, which reads what some lessons ask for.
        batch: Crops and identities.
        composites: Of the people that new faces shall look like.
        mixture: How many are lessons, and how many of the swaps are keyed rotations.
        in_pairs: Whether swaps come in pairs of one crop.
        generator: Source of everything that is drawn by lot.
    """
    taught = round(len(batch.crops) * mixture.taught_ratio)
    if in_pairs:
        batch = paired(batch, taught)
    lessons = make_lessons(batch, taught, own, generator)
    targets, rotated = _targets(net, batch, taught, composites, mixture, generator)
    wanted = torch.cat([lessons.identities, targets])
    inputs = torch.cat([lessons.inputs, batch.crops[taught:]])
    inputs = inputs.contiguous(memory_format=torch.channels_last)
    face, alpha = net(inputs, wanted)
    face = face.float()
    output = composite(face, alpha, inputs)
    return Drawn(batch, lessons, taught, wanted, rotated, face, output, alpha.float())


def _targets(
    net: FaceSynthesis,
    batch: Batch,
    taught: int,
    composites: IdentityComposites,
    mixture: Mixture,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """Wanted identities of the swaps, and which of them are keyed rotations.

    Most of those are moved towards people. The others are identities of other people of the batch.
    """
    swaps = len(batch.crops) - taught
    angles = 60.0 + 60.0 * torch.rand(swaps, generator=generator)
    turned = rotated_targets(batch.identities[taught:], net.basis, angles, generator)
    low, high = mixture.composite_least, mixture.composite_most
    weights = low + (high - low) * torch.rand(swaps, generator=generator)
    weights[torch.rand(swaps, generator=generator) >= mixture.composite_ratio] = 0.0
    turned = people_like(turned, net.basis, composites, weights)
    rotated = torch.rand(swaps, generator=generator) < mixture.rotated_ratio
    others = batch.identities[strangers(len(batch.crops), taught)]
    return torch.where(rotated[:, None], turned, others), rotated
