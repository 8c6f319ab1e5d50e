"""One training step of the generator: taught swaps, free swaps, recovery."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from training.discriminator import Discriminator, discriminator_loss, generator_loss
from training.generator_data import Batch, FaceBank
from training.generator_landmarks import LandmarkNet, landmark_loss
from training.generator_lessons import Lessons, lesson_keeps_identity, make_lessons
from training.generator_net import FaceNet
from training.losses_identity import cosine, old_identity_hinge, rotated_targets
from training.losses_image import (
    colour_loss,
    composite,
    degrade,
    reconstruction_loss,
)

__all__ = ["GeneratorTraining", "LossWeights", "Mixture"]


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the losses; 0 switches a loss and its cost off."""

    identity: float = 4.0
    second: float = 2.0
    old: float = 1.0
    adversarial: float = 0.6
    landmarks: float = 0.1
    colour: float = 3.0
    outside: float = 1.0
    taught: float = 3.0
    cycle: float = 3.0


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a batch and a step are made of.

    Attributes:
        taught_ratio: Share of the batch that has a wanted output.
        rotated_ratio: Share of the swaps whose target is a keyed rotation, not another person.
        second_every: Steps between uses of the second recogniser.
        cycle_every: Steps between recoveries of the swapped faces.
        adversarial_from: First step with the adversarial loss.
    """

    taught_ratio: float = 0.625
    rotated_ratio: float = 0.4
    second_every: int = 3
    cycle_every: int = 5
    adversarial_from: int = 50


@dataclass(slots=True, eq=False)
class GeneratorTraining:
    """Everything a step needs. Not safe for use from several threads."""

    net: FaceNet
    critic: Discriminator
    readers: tuple[nn.Module, nn.Module]
    landmarks: LandmarkNet
    bank: FaceBank
    weights: LossWeights
    mixture: Mixture
    rng: np.random.Generator
    generator: torch.Generator
    log: dict[str, float] = field(default_factory=dict)

    def losses(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Forward passes of a batch.

        Returns:
            The generator's loss and the fakes (N, 3, S, S) for the discriminator.
        """
        w, count = self.weights, len(batch.crops)
        taught = round(count * self.mixture.taught_ratio)
        lessons = make_lessons(batch, taught, self.readers[0], self.generator)
        wanted, second, has_second = self._targets(batch, taught)
        inputs = torch.cat([lessons.inputs, batch.crops[taught:]])
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        face, alpha = self.net(inputs, torch.cat([lessons.identities, wanted]))
        face, alpha = face.float(), alpha.float()
        output = composite(face, alpha, inputs)
        total = self._taught_loss(face[:taught], lessons)
        total = total + w.outside * ((face - inputs).abs() * (1.0 - self.net.face_area)).mean()
        total = total + self._identity_losses(
            batch, output, torch.cat([lessons.identities, wanted]), taught
        )
        if step % self.mixture.second_every == 0:
            total = total + self._second_losses(batch, output, second, has_second, taught)
        total = total + w.colour * colour_loss(output[taught:], batch.crops[taught:]).mean()
        points = landmark_loss(self.landmarks(output), batch.landmarks_px, batch.confidence)
        self._note(landmarks_px=points)
        total = total + w.landmarks * points
        if w.adversarial and step >= self.mixture.adversarial_from:
            self.critic.requires_grad_(False)  # only the fakes need gradients here
            adversarial = generator_loss(self.critic(output))
            total = total + w.adversarial * adversarial
            self._note(adv=adversarial)
        if taught < count and step % self.mixture.cycle_every == self.mixture.cycle_every - 1:
            total = total + self._recovery(batch, output.detach()[taught:], taught)
        return total, output.detach()

    def _targets(self, batch: Batch, taught: int) -> tuple[Tensor, Tensor, Tensor]:
        """Wanted identities of the swaps, those of the second recogniser, and which exist.

        The targets are the embeddings of other people of the batch, or keyed rotations.
        """
        swaps = len(batch.crops) - taught
        angles = 70.0 + 50.0 * torch.rand(swaps, generator=self.generator)
        turned = rotated_targets(batch.identities[taught:], self.net.basis, angles, self.generator)
        rotated = torch.rand(swaps, generator=self.generator) < self.mixture.rotated_ratio
        others = batch.identities.roll(1, 0)[taught:]
        wanted = torch.where(rotated[:, None], turned, others)
        second = torch.cat([batch.second[:taught], batch.second.roll(1, 0)[taught:]])
        exists = torch.cat([lesson_keeps_identity(taught), ~rotated])
        return wanted, second, exists

    def _taught_loss(self, face: Tensor, lessons: Lessons) -> Tensor:
        if not len(face):
            return face.new_zeros(())
        rec = reconstruction_loss(face, lessons.outputs).mean()
        self._note(taught_rec=rec)
        return self.weights.taught * rec

    def _identity_losses(self, batch: Batch, output: Tensor, wanted: Tensor, taught: int) -> Tensor:
        top, left = (int(v) for v in self.rng.integers(-2, 3, 2))
        found = self.readers[0](output, (top, left))
        near = cosine(found, wanted)
        if taught:
            self._note(cos_taught=near[:taught].mean())
        loss = 0.67 * (1.0 - near[:taught]).sum()
        if taught < len(output):
            old = cosine(found, batch.identities)[taught:]
            self._note(cos_swap=near[taught:].mean(), cos_old=old.mean())
            loss = loss + (1.0 - near[taught:]).sum()
        return self.weights.identity * loss / max(1, len(output) - taught)

    def _second_losses(
        self, batch: Batch, output: Tensor, wanted: Tensor, exists: Tensor, taught: int
    ) -> Tensor:
        found = self.readers[1](output)
        near = cosine(found, wanted)
        loss = self.weights.second * ((1.0 - near) * exists).sum() / exists.sum().clamp_min(1)
        if taught < len(output):
            old = old_identity_hinge(found, batch.second, allowed=0.1)[taught:]
            loss = loss + self.weights.old * old.mean()
            self._note(cos2_old=cosine(found, batch.second)[taught:].mean())
        self._note(cos2=near[exists].mean())
        return loss

    def _recovery(self, batch: Batch, swapped: Tensor, taught: int) -> Tensor:
        """Bring the original back from a swapped face that went through something like a codec."""
        seen = degrade(swapped, self.generator).contiguous(memory_format=torch.channels_last)
        own, crops = batch.identities[taught:], batch.crops[taught:]
        face, alpha = self.net(seen, own)
        rec = reconstruction_loss(face.float(), crops).mean()
        again = composite(face.float(), alpha.float(), seen)
        near = cosine(self.readers[0](again), own).mean()
        self._note(cycle_rec=rec, cos_back=near)
        return self.weights.cycle * rec + 0.67 * self.weights.identity * (1.0 - near)

    def critic_loss(self, real: Tensor, fakes: Tensor) -> Tensor:
        """Loss of the discriminator on as many real crops as fakes."""
        keep = torch.randperm(len(fakes), generator=self.generator)[: len(real)]
        self.critic.requires_grad_(True)
        loss = discriminator_loss(self.critic(real), self.critic(fakes[keep]))
        self._note(critic=loss)
        return loss

    def _note(self, **values: Tensor) -> None:
        """Running means for the log, over about the last 50 steps."""
        for name, value in values.items():
            new = float(value.detach())
            if new == new:
                self.log[name] = 0.98 * self.log.get(name, new) + 0.02 * new
