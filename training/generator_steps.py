"""One training step of the generator: taught swaps, free swaps, recovery."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engines.identity_composites import IdentityComposites
from training.face_features import perceptual_loss
from training.face_synthesis import FaceSynthesis
from training.generator_balance import GradientBalance
from training.generator_critics import Critics, own_faces
from training.generator_data import Batch
from training.generator_draws import Drawn, Fakes, draw_faces
from training.generator_landmarks import landmark_loss, landmark_weights
from training.generator_lessons import Lessons, lesson_keeps_identity
from training.generator_options import LossWeights, Mixture
from training.generator_pairs import pair_hinge, strangers
from training.keyed_identities import noisy_identity
from training.losses_identity import (
    OwnReader,
    cosine,
    old_identity_hinge,
)
from training.losses_image import colour_loss, composite, degrade, reconstruction_loss, spot_loss

__all__ = ["GeneratorTraining"]


@dataclass(slots=True, eq=False)
class GeneratorTraining:
    """Everything a step needs. Not safe for use from several threads.

    Attributes:
        net: The network being trained.
        critics: What tells new faces from photographs, and those that do not suit their heads.
        own: The encoder that ships, frozen: identities are in its space and are read back with it.
        primary: EdgeFace-XS, frozen.
        features: ``FaceFeatures``: embeddings and maps of MobileFaceNet.
        teacher: ``LandmarkTeacher``, which the net's own landmarks were learnt from.
        composites: What keyed rotations are moved towards.
        weights: Weights of the losses.
        mixture: What a batch is made of.
        rng: Source of shifts.
        generator: Source of everything that torch draws.
        log: Running means of what is watched.
        balance: Keeps the critics as loud as wanted.
    """

    net: FaceSynthesis
    critics: Critics
    own: OwnReader
    primary: nn.Module
    features: nn.Module
    teacher: nn.Module
    composites: IdentityComposites
    weights: LossWeights
    mixture: Mixture
    rng: np.random.Generator
    generator: torch.Generator
    log: dict[str, float] = field(default_factory=dict)
    balance: GradientBalance = field(default_factory=GradientBalance)

    def losses(self, batch: Batch, step: int) -> tuple[Tensor, Fakes]:
        """Forward passes of a batch: the generator's loss, and the fakes for the critics."""
        w, count = self.weights, len(batch.crops)
        batch, lessons, taught, wanted, rotated, face, output, area = self._draw(batch, step)
        targets = wanted[taught:]
        shift = self._shift()
        second, maps = self.features(output, shift)
        total = self._taught_loss(face[:taught], lessons, [m[:taught] for m in maps], shift)
        total = total + self._own_loss(batch, output, wanted, taught, rotated)
        total = total + self._primary_loss(batch, output, targets, rotated, step)
        total = total + self._second_loss(batch, second, len(targets), rotated)
        if self._in_pairs(step):
            total = total + self._pair_loss("mobile", second[taught:])
        total = total + w.colour * colour_loss(output[taught:], batch.crops[taught:]).mean()
        spots = spot_loss(output).mean()
        self._note(spots=spots)
        total = total + w.spots * spots
        total = total + self._points_loss(output, batch, lessons, step)
        if step >= self.mixture.adversarial_from:
            total = total + self._adversarial_loss(output, maps, area, total, taught, step)
        if taught < count and step % self.mixture.cycle_every == self.mixture.cycle_every - 1:
            total = total + self._recovery(batch, output.detach()[taught:], taught)
        compares = step % self.mixture.critic_every == 0
        own = self._own_faces(batch, taught if compares else count)
        return total, Fakes(output.detach(), [m.detach() for m in maps], area, own)

    @torch.no_grad()
    def fakes(self, batch: Batch, step: int) -> Fakes:
        """What the critics would see of a step, without the losses (to warm them)."""
        drawn = self._draw(batch, step)
        _, maps = self.features(drawn.output, self._shift())
        return Fakes(drawn.output, maps, drawn.area, self._own_faces(drawn.batch, drawn.taught))

    def _own_faces(self, batch: Batch, taught: int) -> Tensor:
        """What the third critic compares the swaps with; empty where nobody listens to it."""
        if self.weights.heads <= 0.0:
            taught = len(batch.crops)
        return own_faces(self.net, batch, taught)

    def _draw(self, batch: Batch, step: int) -> Drawn:
        return draw_faces(
            self.net,
            self.own,
            batch,
            composites=self.composites,
            mixture=self.mixture,
            in_pairs=self._in_pairs(step),
            generator=self.generator,
        )

    def _shift(self) -> tuple[int, int]:
        top, left = (int(v) for v in self.rng.integers(-2, 3, 2))
        return top, left

    def _taught_loss(
        self, face: Tensor, lessons: Lessons, maps: list[Tensor], shift: tuple[int, int]
    ) -> Tensor:
        if not len(face):
            return face.new_zeros(())
        rec = reconstruction_loss(face, lessons.outputs).mean()
        with torch.no_grad():
            _, wanted = self.features(lessons.outputs, shift)
        perceptual = perceptual_loss(maps, wanted)
        self._note(rec=rec, perceptual=perceptual)
        return self.weights.taught * rec + self.weights.perceptual * perceptual

    def _adversarial_loss(
        self,
        output: Tensor,
        maps: list[Tensor],
        area: Tensor,
        others: Tensor,
        taught: int,
        step: int,
    ) -> Tensor:
        w = self.weights
        losses = self.critics.generator_losses(
            output, maps, area, taught=taught, with_heads=w.heads > 0.0
        )
        self._note(**{f"adv_{name}": loss for name, loss in losses.items()})
        loss = self.balance.weigh(
            losses,
            others=others,
            last=self.net.to_rgb.weight,
            ratio={"pixels": w.adversarial, "features": w.features, "heads": w.heads},
            step=step,
        )
        self.log.update({f"adv_{n}_weight": self.balance.weights[n] for n in losses})
        return loss

    def _own_loss(
        self, batch: Batch, output: Tensor, wanted: Tensor, taught: int, rotated: Tensor
    ) -> Tensor:
        """The shipped encoder must read the wanted identity, also after a codec."""
        seen = output
        if torch.rand((), generator=self.generator) < 0.5:
            seen = degrade(output, self.generator)
        found = self.own(seen, self._shift())
        near, old = cosine(found, wanted), cosine(found[taught:], batch.identities[taught:])
        self._note(own_taught=near[:taught].mean(), own_old=old.mean())
        for name, chosen in (("own_rotated", rotated), ("own_other", ~rotated)):
            if chosen.any():
                self._note(**{name: near[taught:][chosen].mean()})
        # Twice for the swaps: there it is the only thing that says who the new face is.
        miss = torch.cat([1.0 - near[:taught], 2.0 * self._miss(near[taught:], rotated)])
        loss = self.weights.identity * miss.mean()
        hinge = old_identity_hinge(found[taught:], batch.identities[taught:], allowed=0.1)
        return loss + self.weights.old * hinge.mean()

    def _primary_loss(
        self, batch: Batch, output: Tensor, targets: Tensor, rotated: Tensor, step: int
    ) -> Tensor:
        """EdgeFace-XS: the wanted person and not the old one."""
        taught = len(output) - len(targets)
        if step % self.mixture.primary_every:
            return output.new_zeros(())
        found = self.primary(output, self._shift())
        pairs = self._pair_loss("edge", found[taught:]) if self._in_pairs(step) else 0.0
        # The shipped encoder is distilled from this one: a turned identity is one here, too.
        others = batch.primary[strangers(len(output), taught)]
        others = torch.where(rotated[:, None], targets, others)
        known = torch.cat([lesson_keeps_identity(taught), torch.ones_like(rotated)])
        miss, hinge = self._reader_loss("edge", found, batch.primary, others, known, rotated)
        return pairs + self.weights.primary * miss + self.weights.old * hinge

    def _second_loss(self, batch: Batch, found: Tensor, swaps: int, rotated: Tensor) -> Tensor:
        """MobileFaceNet the same; it says nothing of what a turned identity looks like."""
        taught = len(found) - swaps
        others = batch.second[strangers(len(found), taught)]
        known = torch.cat([lesson_keeps_identity(taught), ~rotated])
        miss, hinge = self._reader_loss("mobile", found, batch.second, others, known, rotated)
        return self.weights.second * miss + self.weights.old * hinge

    def _in_pairs(self, step: int) -> bool:
        """Whether this step's swaps come in pairs: it does where EdgeFace-XS looks at them."""
        return self.weights.pairs > 0.0 and step % self.mixture.primary_every == 0

    def _pair_loss(self, name: str, found: Tensor) -> Tensor:
        loss = pair_hinge(found, allowed=0.1)
        self._note(**{f"{name}_pairs": loss})
        return self.weights.pairs * loss

    def _miss(self, near: Tensor, rotated: Tensor) -> Tensor:
        """How far the cosines of swaps lie below what a face can reach, in its weight."""
        mixture = self.mixture
        reach = torch.where(rotated, mixture.rotated_reach, mixture.other_reach)
        return self.weights.swapped * F.relu(reach - near)

    def _reader_loss(
        self,
        name: str,
        found: Tensor,
        originals: Tensor,
        others: Tensor,
        known: Tensor,
        rotated: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """How far the wanted people are missed, and how much of the old ones is left."""
        taught = len(found) - len(others)
        near = cosine(found, torch.cat([originals[:taught], others]))
        self._note(**{f"{name}_taught": near[:taught][known[:taught]].mean()})
        miss = torch.cat([1.0 - near[:taught], self._miss(near[taught:], rotated)])
        loss = (miss * known).sum() / known.sum().clamp_min(1)
        if taught == len(found):
            return loss, loss.new_zeros(())
        self._note(**{f"{name}_old": cosine(found, originals)[taught:].mean()})
        if known[taught:].any():
            self._note(**{f"{name}_swap": near[taught:][known[taught:]].mean()})
        return loss, old_identity_hinge(found[taught:], originals[taught:], allowed=0.0).mean()

    def _points_loss(self, output: Tensor, batch: Batch, lessons: Lessons, step: int) -> Tensor:
        """The new face has its landmarks where the old one had them.

        By the net that the generator knows them from, and by its teacher, who sees where that errs.
        """
        wanted = torch.cat([lessons.outputs, batch.crops[len(lessons.outputs) :]])
        wanted = wanted.contiguous(memory_format=torch.channels_last)
        with torch.no_grad():
            points = self.net.landmarks(wanted).float()
        loss = landmark_loss(self.net.landmarks(output), points, landmark_weights())
        self._note(landmarks_px=loss)
        loss = self.weights.landmarks * loss
        every = self.mixture.teacher_every
        if self.weights.teacher_landmarks <= 0.0 or step % every != every - 1:
            return loss
        with torch.no_grad():
            points, sureness = self.teacher(wanted)
        found, _ = self.teacher(output)
        miss = landmark_loss(found, points, landmark_weights() * sureness)
        self._note(teacher_px=miss)
        return loss + self.weights.teacher_landmarks * miss

    def _recovery(self, batch: Batch, swapped: Tensor, taught: int) -> Tensor:
        """Bring the original back from a swapped face that went through something like a codec.

        Half of the faces get the stored identity, the others one with the error of reading it back.
        """
        seen = degrade(swapped, self.generator).contiguous(memory_format=torch.channels_last)
        own, crops = batch.identities[taught:], batch.crops[taught:]
        noisy = noisy_identity(own, self.net.basis, self.generator)
        stored = torch.arange(len(own)) % 2 == 0
        face, alpha = self.net(seen, torch.where(stored[:, None], own, noisy))
        rec = reconstruction_loss(face.float(), crops).mean()
        again = composite(face.float(), alpha, seen)
        near = cosine(self.own(again), own)
        edge = cosine(self.primary(again), batch.primary[taught:])
        self._note(cycle_rec=rec, back=near.mean(), edge_back=edge.mean())
        w = self.weights
        return w.cycle * rec + 0.5 * w.identity * (1.0 - near.mean() + 1.0 - edge.mean())

    def critic_loss(self, real: Tensor, fakes: Fakes) -> Tensor:
        """Loss of the critics on as many real crops as fakes."""
        with torch.no_grad():
            _, maps = self.features(real, self._shift())
            area = self.net.area(self.net.landmarks(real).float())
        found = self.critics.losses(real, maps, area, fakes)
        self._note(**found)
        return torch.stack([v for n, v in found.items() if n.startswith("critic")]).sum()

    def _note(self, **values: Tensor) -> None:
        """Running means for the log, over about the last 50 steps."""
        for name, value in values.items():
            new = float(value.detach())
            if new == new:
                self.log[name] = 0.98 * self.log.get(name, new) + 0.02 * new
