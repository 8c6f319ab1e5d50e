"""Train the encoder and its flat readout together: `python -m training.encoder_joint`.

`training.encoder` learns with a pooled last layer, `training.encoder_readout` replaces that layer
in closed form; from there both are trained as one network, which is worth more than either.
"""

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
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from training.crops import ARCFACE
from training.encoder import Feed, Recipe, distillation_loss
from training.encoder_consistent import ConsistentFeed, label
from training.encoder_model import Encoder
from training.encoder_optim import Muon, split_parameters
from training.encoder_options import encoder_parser
from training.encoder_readout import ReadoutEncoder, load_readout_encoder
from training.encoder_targets import Targets, load_targets
from training.encoder_watch import held_out_cosine, held_out_crops
from training.losses_identity import declare_vision_operators
from training.rebuild import load_for_training
from training.runtime import (
    AveragedModel,
    append_csv,
    half_precision,
    load_checkpoint,
    save_checkpoint,
)
from training.teachers import load_teachers

__all__ = ["JointRun", "main"]

_LOG = logging.getLogger(__name__)
_EVALUATE_EVERY = 500
_LOG_EVERY = 25
_SIDE = 4  # cells of the last map: the network sees 16 times as many pixels
_SAMPLE = 256  # crops that tell the statistics of a network whose batch norms were folded
Rgb = NDArray[np.uint8]


@dataclass(slots=True, eq=False)
class JointRun:
    """The state of a joint training.

    Attributes:
        recipe: Settings; ``hint`` and ``sizes`` are not used.
        out: Folder of the checkpoints and curves; the averaged model goes to ``out/readout``.
        model: The network being trained.
        average: Its moving average.
        muon: Steps the convolutions.
        adam: Steps everything else.
        started_s: Clock at the start, less what earlier parts of the run took.
        step: Steps done.
    """

    recipe: Recipe
    out: Path
    model: ReadoutEncoder
    average: AveragedModel[ReadoutEncoder]
    muon: Muon
    adam: torch.optim.AdamW
    started_s: float
    step: int = 0

    @classmethod
    def start(cls, recipe: Recipe, out: Path, model: ReadoutEncoder) -> JointRun:
        """A run from ``model``, or the one whose checkpoint lies in ``out``."""
        model = model.train().to(memory_format=torch.channels_last)
        filters, others = split_parameters(model)
        readout = {id(p) for part in (model.squeeze, model.project) for p in part.parameters()}
        groups = [
            {"params": [p for p in others if id(p) not in readout], "peak": recipe.adam_lr},
            # Solved in closed form, so near its optimum: it needs only to follow the features.
            {"params": [p for p in others if id(p) in readout], "peak": recipe.adam_lr / 8},
        ]
        adam = torch.optim.AdamW(groups, lr=recipe.adam_lr, betas=(0.9, 0.98), weight_decay=0.01)
        muon = Muon(filters, lr=recipe.muon_lr)
        average = AveragedModel(model, decay=recipe.ema_decay)
        run = cls(recipe, out, model, average, muon, adam, time.monotonic())
        resumed = load_checkpoint(out)
        if resumed is not None:
            run.step, run.started_s = resumed[0], run.started_s - float(resumed[2]["elapsed_s"])
            for name, part in run._parts().items():
                part.load_state_dict(resumed[1][name])
        return run

    def _parts(self) -> dict[str, Any]:
        return {
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

    def update(self, x: Tensor, target: Tensor, anchors: Tensor) -> None:
        """One step of both optimizers and of the average."""
        progress = self.progress()
        factor = min(1.0, self.step / 100 + 0.05) * max(0.01, 1 - progress)
        self.muon.param_groups[0]["lr"] = self.recipe.muon_lr * factor
        for group in self.adam.param_groups:
            group["lr"] = group["peak"] * factor
        with half_precision():
            raw = self.model(x)
        relation = self.recipe.relation
        loss, cosine = distillation_loss(raw.float(), target, anchors, relation=relation)
        self.muon.zero_grad()
        self.adam.zero_grad()
        loss.backward()
        self.muon.step()
        self.adam.step()
        self.average.update(self.model, step=self.step)
        self.step += 1
        if self.step % _LOG_EVERY == 0:
            row = {"step": self.step, "progress": progress, "loss": loss.item()}
            row["cosine"] = cosine.item()
            append_csv(self.out / "train.csv", row)
            _LOG.info("%s", row)

    def save(self, held_out: tuple[Tensor, Tensor]) -> None:
        """Watch the averaged model on the held-out people, and write a checkpoint."""
        cosine = held_out_cosine(self.average.model, held_out, 16 * self.model.side)
        minutes = self.minutes()
        row = {"step": self.step, "minutes": minutes, "cosine": cosine}
        append_csv(self.out / "held_out.csv", row)
        _LOG.info("step %d: held-out cosine %.4f", self.step, cosine)
        states = {name: part.state_dict() for name, part in self._parts().items()}
        save_checkpoint(self.out, states, step=self.step, extra={"elapsed_s": minutes * 60})
        extra = {"side": self.model.side, "held_out": cosine}
        readout = {"readout": self.average.model.state_dict()}
        save_checkpoint(self.out / "readout", readout, step=self.step, extra=extra)


def _first_model(run: Path, out: Path, crops: Rgb) -> ReadoutEncoder:
    if load_checkpoint(out) is not None:  # its weights are loaded over these
        return ReadoutEncoder(Encoder(), side=_SIDE)
    if run.suffix != ".onnx":
        return load_readout_encoder(run)
    model = ReadoutEncoder(Encoder(), side=_SIDE)
    faces = np.ascontiguousarray(crops[:: max(1, len(crops) // _SAMPLE), ARCFACE, ARCFACE])
    x = (torch.from_numpy(faces).permute(0, 3, 1, 2).float() - 127.5) / 127.5
    x = F.interpolate(x, size=16 * _SIDE, mode="bilinear", align_corners=False)
    load_for_training(model, run, x, prefix="encoder.")
    return model


def main() -> None:
    """Command line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = encoder_parser(__doc__, out="runs/encoder-joint", steps=10_000, seed=2, muon_lr=0.025)
    parser.add_argument(
        "--run",
        type=Path,
        default=Path("runs/encoder"),
        help="a run with a readout, or encoder.onnx",
    )
    parser.add_argument("--blend-ratio", type=float, default=0.35)
    parser.add_argument("--adam-lr", type=float, default=4e-3)
    parser.add_argument(
        "--consistent", action="store_true", help="let the teacher label new pictures in every step"
    )
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    targets = load_targets(
        args.data,
        args.teachers,
        args.cache,
        blend_files=0 if args.consistent else args.blend_files,  # it mixes faces itself
        with_hints=False,
        limit=args.crops,
    )
    recipe = Recipe(
        steps=args.steps,
        minutes=args.minutes,
        seed=args.seed,
        muon_lr=args.muon_lr,
        adam_lr=args.adam_lr,
        blend_ratio=args.blend_ratio,
        hint=0.0,
    )
    held_out = held_out_crops(args.data, args.teachers)
    run = JointRun.start(recipe, args.out, _first_model(args.run, args.out, targets.crops))
    teacher: nn.Module | None = None
    if args.consistent:
        declare_vision_operators()
        teacher = load_teachers(args.teachers).load_edgeface_torch().eval()
        teacher.to(memory_format=torch.channels_last)
    _train(run, targets, held_out, teacher)


def _train(
    run: JointRun, targets: Targets, held_out: tuple[Tensor, Tensor], teacher: nn.Module | None
) -> None:
    recipe, size_px = run.recipe, 16 * run.model.side
    bank = torch.from_numpy(targets.plain.copy())
    stored = Feed(targets, recipe)
    fresh = ConsistentFeed(targets.crops, recipe.batch, recipe.seed)

    def make(step: int) -> tuple[Tensor, Tensor]:
        if teacher is None:
            x, batch = stored(step, size_px)
            return x, torch.from_numpy(batch.targets)
        seen, worn = fresh(step)
        return worn, seen

    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(make, run.step)
        while run.progress() < 1:
            x, target = coming.result()
            coming = pool.submit(make, run.step + 1)
            if teacher is not None:
                target = label(teacher, target)
                x = F.interpolate(x, size=size_px, mode="bilinear", align_corners=False)
                x = x.contiguous(memory_format=torch.channels_last)
            rng = np.random.default_rng([recipe.seed, 2, run.step])
            anchors = bank[rng.integers(len(bank), size=recipe.anchors)]
            run.update(x, target, anchors)
            if run.step % _EVALUATE_EVERY == 0 or run.progress() >= 1:
                run.save(held_out)


if __name__ == "__main__":
    main()
