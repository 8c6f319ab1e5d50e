"""Train the identity encoder: `python -m training.encoder --data ../shared/faces`."""

from __future__ import annotations

import logging
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from training.encoder_augment import augment
from training.encoder_hints import HintHeads
from training.encoder_model import Encoder
from training.encoder_optim import Muon, split_parameters
from training.encoder_options import encoder_parser
from training.encoder_targets import Batch, Targets, load_targets
from training.encoder_watch import held_out_cosine, held_out_crops
from training.runtime import (
    AveragedModel,
    append_csv,
    half_precision,
    load_checkpoint,
    save_checkpoint,
)

__all__ = ["Feed", "Recipe", "distillation_loss", "main", "train"]

_LOG = logging.getLogger(__name__)
_RELATION_SCALE = 16.0
_HINTS_END = 0.8


@dataclass(frozen=True, slots=True)
class Recipe:
    """Settings of a run; the defaults made the shipped weights.

    Attributes:
        steps: Length of the schedule.
        minutes: Ends the schedule early: its progress is the greater of steps and time done.
        muon_lr: Peak relative step of convolution weights.
        adam_lr: Peak learning rate of everything else.
        blend_ratio: Share of composites in a batch.
        hint: Weight of the hints at first; it falls to nothing at ``_HINTS_END``.
        anchors: Teacher embeddings that the relational term compares with.
        sizes: Input side in pixels and the progress up to which it is used.
    """

    steps: int = 3500
    minutes: float = float("inf")
    batch: int = 128
    seed: int = 1
    muon_lr: float = 0.05
    adam_lr: float = 8e-3
    relation: float = 0.2
    blend_ratio: float = 0.25
    hint: float = 1.0
    anchors: int = 2048
    ema_decay: float = 0.997
    sizes: tuple[tuple[int, float], ...] = ((64, 1.01),)
    save_every: int = 200
    log_every: int = 20
    evaluate_every: int = 200


def distillation_loss(
    raw: Tensor, target: Tensor, anchors: Tensor, *, relation: float
) -> tuple[Tensor, Tensor]:
    """Cosine and relational distillation.

    The relational term compares how the student's and the teacher's embedding rank a bank of other
    people: the divergence of two softmax distributions over their cosines to the anchors.

    Args:
        raw: (N, 512) student output, any length.
        target: (N, 512) unit teacher embeddings.
        anchors: (K, 512) unit teacher embeddings of other pictures.
        relation: Weight of the relational term.

    Returns:
        The loss and the mean cosine, both scalars.
    """
    student = F.normalize(raw.float(), dim=1)
    cosine = (student * target).sum(1).mean()
    ours = F.log_softmax(_RELATION_SCALE * student @ anchors.T, dim=1)
    theirs = F.log_softmax(_RELATION_SCALE * target @ anchors.T, dim=1)
    divergence = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return 1 - cosine + relation * divergence, cosine.detach()


def train(
    recipe: Recipe,
    targets: Targets,
    held_out: tuple[Tensor, Tensor],
    out: Path,
    *,
    warm_start: Path | None = None,
) -> Encoder:
    """Run or resume a training.

    Args:
        recipe: Settings.
        targets: What to learn.
        held_out: (M, 3, 112, 112) uint8 crops and (M, 512) unit teacher embeddings, to watch.
        out: Folder of the checkpoints and curves (``train.csv``, ``held_out.csv``).
        warm_start: Folder of an earlier run whose averaged weights to start from.

    Returns:
        The averaged model.
    """
    run = _Run.start(recipe, out, warm_start)
    bank = torch.from_numpy(targets.plain.copy())
    feed = Feed(targets, recipe)
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(feed, run.step, _size(recipe, run.progress()))
        while (progress := run.progress()) < 1:
            x, batch = coming.result()
            coming = pool.submit(feed, run.step + 1, _size(recipe, progress))
            rng = np.random.default_rng([recipe.seed, 2, run.step])
            anchors = bank[rng.integers(len(bank), size=recipe.anchors)]
            run.update(x, batch, anchors, progress)
            over = run.progress() >= 1
            if run.step % recipe.evaluate_every == 0 or over:
                run.evaluate(held_out, x.shape[-1])
            if run.step % recipe.save_every == 0 or over:
                run.save()
    return run.average.model


@dataclass(slots=True, eq=False)
class _Run:
    """The state of a training: what a checkpoint holds."""

    recipe: Recipe
    out: Path
    model: Encoder
    average: AveragedModel[Encoder]
    muon: Muon
    adam: torch.optim.AdamW
    heads: HintHeads
    started_s: float
    step: int = 0

    @classmethod
    def start(cls, recipe: Recipe, out: Path, warm_start: Path | None) -> _Run:
        """A new run, or the one whose checkpoint lies in ``out``."""
        torch.manual_seed(recipe.seed)
        model = Encoder()
        if warm_start is not None:
            earlier = load_checkpoint(warm_start)
            if earlier is None:
                raise FileNotFoundError(f"{warm_start} holds no checkpoint to start from")
            model.load_state_dict(earlier[1]["average"])
        model = model.to(memory_format=torch.channels_last)
        filters, others = split_parameters(model)
        muon = Muon(filters, lr=recipe.muon_lr)
        heads = HintHeads([m.shape[1] for m in model.maps(torch.zeros(2, 3, 32, 32))])
        others += list(heads.parameters())
        adam = torch.optim.AdamW(others, lr=recipe.adam_lr, betas=(0.9, 0.98), weight_decay=0.01)
        average = AveragedModel(model, decay=recipe.ema_decay)
        run = cls(recipe, out, model, average, muon, adam, heads, time.monotonic())
        resumed = load_checkpoint(out)
        if resumed is not None:
            run.step = resumed[0]
            run.started_s -= float(resumed[2]["elapsed_s"])
            for name, part in run._parts().items():
                part.load_state_dict(resumed[1][name])
        return run

    def _parts(self) -> dict[str, Any]:
        return {
            "heads": self.heads,
            "model": self.model,
            "average": self.average.model,
            "optimizer_muon": self.muon,
            "optimizer_adam": self.adam,
        }

    def minutes(self) -> float:
        """Time spent, earlier parts of a resumed run included."""
        return (time.monotonic() - self.started_s) / 60

    def progress(self) -> float:
        """Share of the schedule that is done; 1 or more at its end."""
        return max(self.step / self.recipe.steps, self.minutes() / self.recipe.minutes)

    def update(self, x: Tensor, batch: Batch, anchors: Tensor, progress: float) -> None:
        """One step of both optimizers and of the average."""
        recipe = self.recipe
        _set_rates(recipe, self.muon, self.adam, progress)
        with half_precision():
            maps = self.model.maps(x)
            raw = self.model.project(self.model.pool(maps[2]))
        target = torch.from_numpy(batch.targets)
        loss, cosine = distillation_loss(raw, target, anchors, relation=recipe.relation)
        weight = recipe.hint * max(0.0, 1 - progress / _HINTS_END)
        hint = torch.zeros(())
        if weight and batch.hinted:
            hint = self.heads.loss(maps, batch.hints, torch.tensor(batch.hinted))
        loss = loss + weight * hint
        self.muon.zero_grad()
        self.adam.zero_grad()
        loss.backward()
        self.muon.step()
        self.adam.step()
        self.average.update(self.model, step=self.step)
        self.step += 1
        if self.step % recipe.log_every == 0:
            row = {
                "step": self.step,
                "minutes": self.minutes(),
                "progress": progress,
                "size_px": x.shape[-1],
                "loss": loss.item(),
                "cosine": cosine.item(),
                "hint": hint.item(),
            }
            append_csv(self.out / "train.csv", row)
            _LOG.info("%s", row)

    def evaluate(self, held_out: tuple[Tensor, Tensor], size_px: int) -> None:
        """Log the averaged model's mean cosine to the teacher on people not trained on."""
        held = held_out_cosine(self.average.model, held_out, size_px)
        row = {"step": self.step, "minutes": self.minutes(), "cosine": held}
        append_csv(self.out / "held_out.csv", row)
        _LOG.info("step %d: held-out cosine %.4f", self.step, held)

    def save(self) -> None:
        """Write a checkpoint."""
        states = {name: part.state_dict() for name, part in self._parts().items()}
        extra = {"elapsed_s": self.minutes() * 60}
        save_checkpoint(self.out, states, step=self.step, extra=extra)


@dataclass(frozen=True, slots=True)
class Feed:
    """Makes the batch of a step; depends on the seed and the step only."""

    targets: Targets
    recipe: Recipe

    def __call__(self, step: int, size_px: int) -> tuple[Tensor, Batch]:
        """Augmented faces (N, 3, S, S) in [-1, 1], and what they were made from."""
        rng = np.random.default_rng([self.recipe.seed, 1, step])
        batch = self.targets.draw(rng, count=self.recipe.batch, blend_ratio=self.recipe.blend_ratio)
        faces = np.stack(
            [
                augment(f, rng, size_px=size_px, flip=m)
                for f, m in zip(batch.faces, batch.flips, strict=True)
            ]
        )
        return _as_input(faces), batch


def _as_input(faces: np.ndarray) -> Tensor:
    """(N, S, S, 3) uint8 to (N, 3, S, S) float32 in [-1, 1], channels last in memory."""
    return torch.from_numpy(faces).permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)


def _size(recipe: Recipe, progress: float) -> int:
    return next(size for size, until in recipe.sizes if progress < until)


def _set_rates(
    recipe: Recipe, muon: torch.optim.Optimizer, adam: torch.optim.Optimizer, progress: float
) -> None:
    """Warm up over 2 % of the run, then fall in a straight line to a hundredth."""
    factor = min(1.0, progress / 0.02 + 0.05) * max(0.01, 1 - progress)
    muon.param_groups[0]["lr"] = recipe.muon_lr * factor
    adam.param_groups[0]["lr"] = recipe.adam_lr * factor


def main() -> None:
    """Command line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = encoder_parser(__doc__, out="runs/encoder", steps=3500, seed=1, muon_lr=0.05)
    parser.add_argument("--warm-start", type=Path, default=None)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    targets = load_targets(
        args.data, args.teachers, args.cache, blend_files=args.blend_files, limit=args.crops
    )
    recipe = Recipe(steps=args.steps, minutes=args.minutes, seed=args.seed, muon_lr=args.muon_lr)
    held_out = held_out_crops(args.data, args.teachers)
    train(recipe, targets, held_out, args.out, warm_start=args.warm_start)


if __name__ == "__main__":
    main()
