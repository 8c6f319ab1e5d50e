"""What a training of the generator weighs and mixes."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["LossWeights", "Mixture"]


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the losses; 0 switches a loss and its cost off.

    ``identity``, ``primary`` and ``second`` are those of the three recognisers where a photograph
    of the person is the wanted picture; ``swapped`` is what is left of them where there is none,
    because there recognisers and critics disagree.

    ``adversarial``, ``features`` and ``heads`` are ratios: the gradients of the three critics
    beside those of all other losses.
    """

    identity: float = 4.0
    primary: float = 4.0
    second: float = 2.0
    swapped: float = 0.375
    old: float = 3.0
    pairs: float = 2.5
    adversarial: float = 0.5
    features: float = 0.5
    heads: float = 0.0
    perceptual: float = 2.0
    landmarks: float = 0.3
    teacher_landmarks: float = 0.5
    colour: float = 3.0
    spots: float = 50.0
    taught: float = 6.0
    cycle: float = 6.0


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a batch and a step are made of.

    Attributes:
        taught_ratio: Share of the batch that has a wanted output.
        rotated_ratio: Share of the swaps whose target is a keyed rotation, not another person.
        composite_ratio: Share of the keyed rotations that are moved towards people.
        composite_least: Least weight of the composites there.
        composite_most: Largest weight.
        rotated_reach: Cosine to a keyed rotation beyond which nothing is gained. No face has such
            an embedding; asked for more, the generator paints what only recognisers see.
        other_reach: The same for another person.
        primary_every: Steps between uses of EdgeFace-XS.
        teacher_every: Steps between looks of the landmarks' teacher.
        cycle_every: Steps between recoveries of the swapped faces.
        critic_every: Steps between those of the discriminator.
        adversarial_from: First step with the adversarial loss.
    """

    taught_ratio: float = 0.625
    rotated_ratio: float = 0.6
    composite_ratio: float = 0.85
    composite_least: float = 0.5
    composite_most: float = 1.3
    rotated_reach: float = 0.45
    other_reach: float = 0.6
    primary_every: int = 2
    teacher_every: int = 2
    cycle_every: int = 3
    critic_every: int = 2
    adversarial_from: int = 50
