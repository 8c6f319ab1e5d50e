"""One training step of the generator: swaps, self-reconstruction, recovery, wrong keys."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from training.discriminator import Discriminator, discriminator_loss, generator_loss
from training.generator_data import Batch, FaceBank
from training.generator_landmarks import LandmarkNet, landmark_loss, landmark_weights
from training.generator_net import FaceNet
from training.losses_identity import cosine, old_identity_hinge, rotated_targets, wanted_identity
from training.losses_image import (
    colour_loss,
    composite,
    degrade,
    laplacian_loss,
    reconstruction_loss,
)

__all__ = ["GeneratorTraining", "LossWeights", "Mixture"]


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Weights of the losses; 0 switches a loss and its cost off."""

    identity: float = 3.0
    second: float = 2.0
    old: float = 2.0
    adversarial: float = 1.0
    landmarks: float = 0.3
    colour: float = 4.0
    laplacian: float = 1.0
    attributes: float = 0.0
    self_rec: float = 8.0
    cycle: float = 8.0
    alpha: float = 0.0


@dataclass(frozen=True, slots=True)
class Mixture:
    """What a batch is made of.

    Attributes:
        self_ratio: Share that is rebuilt from its own identity.
        rotated_ratio: Share of the swaps whose target is a keyed rotation, not another person.
        wrong_ratio: Share of the second passes that use a wrong key.
        cycle_ratio: Share of the swaps that get a second pass.
        second_every: Steps between uses of the second recogniser.
    """

    self_ratio: float = 0.25
    rotated_ratio: float = 0.3
    wrong_ratio: float = 0.25
    cycle_ratio: float = 0.67
    second_every: int = 2


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
    ramp: float = 1.0

    def losses(self, batch: Batch, step: int) -> tuple[Tensor, Tensor]:
        """Forward passes of a batch.

        Returns:
            The generator's loss and the fakes (M, 3, S, S) for the discriminator.
        """
        count = len(batch.crops)
        own = round(count * self.mixture.self_ratio)
        swaps = count - own
        wanted, wanted_second, real_target = self._targets(batch, swaps)
        own_identity = torch.where(
            torch.rand((own, 1), generator=self.generator) < 0.5,
            batch.twins[swaps:],
            batch.identities[swaps:],
        )
        face, alpha = self.net(batch.crops, torch.cat([wanted, own_identity]))
        face, alpha = face.float(), alpha.float()
        output = composite(face, alpha, batch.crops)
        rec = reconstruction_loss(face[swaps:], batch.crops[swaps:]).mean()
        total = self.weights.self_rec * own / count * rec
        self._note(self_rec=rec)
        second = output[:0]
        if swaps:
            total = total + self._swap_losses(
                batch, output[:swaps], wanted, wanted_second, real_target, step
            )
            second, cycle = self._second_pass(batch, output[:swaps])
            total = total + cycle
        if self.weights.alpha:
            spread = (alpha - torch.sigmoid(self.net.alpha_prior)).abs().mean()
            total = total + self.weights.alpha * spread
        fakes = torch.cat([output, second])
        if self.weights.adversarial:
            self.critic.requires_grad_(False)  # only the fakes need gradients here
            adversarial = generator_loss(self.critic(fakes))
            total = total + self.ramp * self.weights.adversarial * adversarial
            self._note(adv=adversarial)
        return total, fakes.detach()

    def critic_loss(self, real: Tensor, fakes: Tensor) -> Tensor:
        """Loss of the discriminator on as many real crops as fakes."""
        keep = torch.randperm(len(fakes), generator=self.generator)[: len(real)]
        self.critic.requires_grad_(True)
        loss = discriminator_loss(self.critic(real), self.critic(fakes[keep]))
        self._note(critic=loss)
        return loss

    def _targets(self, batch: Batch, swaps: int) -> tuple[Tensor, Tensor, Tensor]:
        """Wanted identities (N, 512), (N, 128), and which of them are real people (N,)."""
        wanted, second = self.bank.strangers(swaps, self.rng)
        angles = 70.0 + 50.0 * torch.rand(swaps, generator=self.generator)
        turned = rotated_targets(batch.identities[:swaps], self.net.basis, angles, self.generator)
        rotated = torch.rand(swaps, generator=self.generator) < self.mixture.rotated_ratio
        return torch.where(rotated[:, None], turned, wanted), second, ~rotated

    def _swap_losses(
        self,
        batch: Batch,
        output: Tensor,
        wanted: Tensor,
        wanted_second: Tensor,
        real_target: Tensor,
        step: int,
    ) -> Tensor:
        w, n = self.weights, len(output)
        crops = batch.crops[:n]
        total = w.colour * colour_loss(output, crops).mean()
        if w.laplacian:
            total = total + w.laplacian * laplacian_loss(output, crops).mean()
        if w.identity:
            shift = tuple(int(v) for v in self.rng.integers(-2, 3, 2))
            found = self.readers[0](output, (shift[0], shift[1]))
            goal = wanted_identity(found, wanted)
            old = old_identity_hinge(found, batch.identities[:n], allowed=0.1)
            total = total + self.ramp * (w.identity * goal.mean() + w.old * old.mean())
            self._note(
                cos=cosine(found, wanted)[real_target].mean(),
                cos_rot=cosine(found, wanted)[~real_target].mean(),
                cos_old=cosine(found, batch.identities[:n]).mean(),
            )
        if w.second and step % self.mixture.second_every == 0:
            found = self.readers[1](output)
            goal = wanted_identity(found, wanted_second) * real_target
            old = old_identity_hinge(found, batch.second[:n], allowed=0.15)
            total = total + self.ramp * (w.second * goal.mean() + w.old * old.mean())
            self._note(
                cos2=cosine(found, wanted_second)[real_target].mean(),
                cos2_old=cosine(found, batch.second[:n]).mean(),
            )
        if w.landmarks:
            with torch.no_grad():
                there = self.landmarks(crops)
            moved = landmark_loss(self.landmarks(output), there, landmark_weights())
            total = total + w.landmarks * moved
            self._note(landmarks_px=moved)
        return total

    def _second_pass(self, batch: Batch, output: Tensor) -> tuple[Tensor, Tensor]:
        """Recover some of the swapped faces, or fail to, with a wrong key."""
        w, n = self.weights, round(len(output) * self.mixture.cycle_ratio)
        if not n or not w.cycle:
            return output[:0], output.new_zeros(())
        wrong = round(n * self.mixture.wrong_ratio)
        right = n - wrong
        keys = batch.identities[:n].clone()
        keys[:right] = self._read_back(keys[:right])
        keys[right:] = self.bank.strangers(wrong, self.rng)[0]
        seen = degrade(output[:n], self.generator)
        clean = torch.rand((n, 1, 1, 1), generator=self.generator) < 0.3
        seen = torch.where(clean, output[:n], seen).contiguous(memory_format=torch.channels_last)
        face, alpha = self.net(seen, keys)
        again = composite(face.float(), alpha.float(), seen)
        rec = reconstruction_loss(again[:right], batch.crops[:right]).mean()
        total = w.cycle * right / max(1, len(output)) * rec
        self._note(cycle_rec=rec)
        if w.identity:
            found = self.readers[0](again)
            goal = wanted_identity(found, torch.cat([batch.identities[:right], keys[right:]]))
            old = old_identity_hinge(found[right:], batch.identities[right:n], allowed=0.1)
            share = self.ramp * n / len(output)
            total = total + share * (w.identity * goal.mean() + w.old * old.sum() / max(1, n))
            self._note(cos_back=1.0 - goal[:right].mean())
        return again, total

    def _read_back(self, identities: Tensor) -> Tensor:
        """Half of them exact (stored in the log), half with the error of reading pixels."""
        noise = F.normalize(torch.randn(identities.shape, generator=self.generator), dim=1)
        strength = torch.rand((len(identities), 1), generator=self.generator)
        strength = torch.where(strength < 0.5, torch.zeros_like(strength), strength)
        noise = F.normalize(noise @ self.net.basis.t(), dim=1) @ self.net.basis
        return F.normalize(identities + 0.9 * strength * noise, dim=1)

    def _note(self, **values: Tensor) -> None:
        """Running means for the log, over about the last 50 steps."""
        for name, value in values.items():
            new = float(value.detach())
            if new == new:
                self.log[name] = 0.98 * self.log.get(name, new) + 0.02 * new
