"""Trains the face detector: ``python -m training.detector --data ../shared/faces``.

Seeded; a run that is started again on the same ``--out`` folder goes on from its last checkpoint.
Writes ``curves.csv``, checkpoints and ``detector.onnx`` (averaged weights) below ``--out``.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.data_scenes import Scene, load_crops, load_scenes
from training.data_scenes_compose import Composer
from training.detector_loss import detector_loss
from training.detector_net import DetectorNet, export_onnx
from training.detector_pool import SamplePool
from training.detector_teacher import Hints, YuNetTeacher
from training.detector_validate import validate
from training.encoder_optim import Muon
from training.runtime import (
    AveragedModel,
    append_csv,
    half_precision,
    load_checkpoint,
    save_checkpoint,
)
from training.teachers import crop_boxer, load_teachers

__all__ = ["Options", "main", "mirror", "to_input", "train"]

_LOG = logging.getLogger(__name__)
_SWAP = [0, 1, 2, 3, 6, 7, 4, 5, 8, 9, 12, 13, 10, 11, 14, 15]  # left and right points trade places


@dataclass(frozen=True, slots=True)
class Options:
    """What a run needs; see ``--help``."""

    data: Path
    teachers: Path
    out: Path
    init: Path | None
    steps: int
    minutes: float
    batch: int
    size_px: int
    slots: int
    workers: int
    threads: int
    rate: float
    muon_rate: float
    hint_weight: float
    seed: int
    save_every: int
    crops: int | None


def mirror(rgb: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Flip ``rgb (N, 3, H, W)`` and its target rows ``(N, M, 16)`` left to right."""
    width = rgb.shape[3]
    flipped = rows[..., _SWAP].clone()
    flipped[..., 4:14:2] = width - flipped[..., 4:14:2]
    flipped[..., 0], flipped[..., 2] = width - rows[..., 2], width - rows[..., 0]
    return rgb.flip(3), flipped * (rows[..., 15:] > 0)


def to_input(rgb: NDArray[np.uint8]) -> Tensor:
    """Turn ``(N, H, W, 3)`` uint8 into the network's input ``(N, 3, H, W)``, channels last."""
    return (torch.from_numpy(rgb).permute(0, 3, 1, 2).float() - 127.5) / 128.0


def _augment(x: Tensor, rows: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    if rng.random() < 0.5:
        x, rows = mirror(x, rows)
    gain = torch.from_numpy(np.exp(rng.normal(0, 0.12, (len(x), 3, 1, 1))).astype(np.float32))
    shift = torch.from_numpy(rng.normal(0, 0.08, (len(x), 1, 1, 1)).astype(np.float32))
    return (x * gain + shift).clamp(-1, 1).contiguous(memory_format=torch.channels_last), rows


def _factor(progress: float) -> float:
    """Return the share of the highest learning rate: a short warm-up, then half a cosine."""
    warm = min(1.0, progress / 0.01 + 0.05)
    return warm * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * progress)))


def _composer(options: Options) -> Composer:
    boxer = crop_boxer(load_teachers(options.teachers))
    cache = options.out / "crop_boxes.npz"
    crops = load_crops(options.data, split="train", boxer=boxer, cache=cache, limit=options.crops)
    scenes = load_scenes(options.data, split="train")
    _LOG.info("%d scenes, %d crops", len(scenes), len(crops.encoded))
    return Composer(scenes, crops, size_px=options.size_px)


class _Run:
    """State of one training: network, average, optimiser and the step reached."""

    def __init__(self, options: Options) -> None:
        torch.manual_seed(options.seed)
        self.options = options
        self.net = DetectorNet().to(memory_format=torch.channels_last)
        # The last layers have no batch norm behind them, which Muon's unit weights need.
        filters = [p for n, p in self.net.named_parameters() if p.ndim > 1 and "predict" not in n]
        known = {id(p) for p in filters}
        self.hints = Hints(self.net.widths, self.net.head)
        trained = [*self.net.parameters(), *self.hints.parameters()]
        others = [p for p in trained if id(p) not in known]
        self.teacher = YuNetTeacher(
            options.teachers / "yunet_n_dynamic.onnx", threads=options.threads
        )
        self.muon = Muon(filters, lr=options.muon_rate)
        self.adam = torch.optim.AdamW(others, lr=options.rate, betas=(0.9, 0.99), weight_decay=0.0)
        self.step, self.spent_s = 0, 0.0
        self.average = AveragedModel(self.net, decay=0.998)
        self._restore()

    def _restore(self) -> None:
        found = load_checkpoint(self.options.out)
        if found is not None:
            self.step, parts, extra = found
            self.net.load_state_dict(parts["net"])
            self.hints.load_state_dict(parts["hints"])
            self.average.model.load_state_dict(parts["average"])
            self.muon.load_state_dict(parts["optimizer_muon"])
            self.adam.load_state_dict(parts["optimizer_adam"])
            self.spent_s = float(extra["spent_s"])
            _LOG.info("going on from step %d", self.step)
        elif self.options.init is not None:
            found = load_checkpoint(self.options.init)
            if found is None:
                raise FileNotFoundError(f"{self.options.init} holds no checkpoint to start from")
            self.net.load_state_dict(found[1]["average"])
            self.average.model.load_state_dict(found[1]["average"])

    def save(self) -> None:
        """Write a checkpoint and the averaged weights as ONNX."""
        parts = {
            "net": self.net.state_dict(),
            "hints": self.hints.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer_muon": self.muon.state_dict(),
            "optimizer_adam": self.adam.state_dict(),
        }
        save_checkpoint(self.options.out, parts, step=self.step, extra={"spent_s": self.spent_s})
        draft = self.options.out / "detector.onnx.new"
        export_onnx(self.average.model, draft)
        draft.replace(self.options.out / "detector.onnx")

    def progress(self) -> float:
        """Return the share of the schedule that is done, by steps or by time."""
        by_time = self.spent_s / 60 / self.options.minutes
        return min(1.0, max(self.step / self.options.steps, by_time))

    def advance(self, pool: SamplePool) -> dict[str, float]:
        """Take one step; return the losses."""
        rng = np.random.default_rng((self.options.seed, 1_000_000 + self.step))
        factor = _factor(self.progress())
        for optimizer, rate in (
            (self.muon, self.options.muon_rate),
            (self.adam, self.options.rate),
        ):
            for group in optimizer.param_groups:
                group["lr"] = rate * factor
        rgb, rows = pool.batch(self.options.batch, rng)
        x, targets = _augment(to_input(rgb), torch.from_numpy(rows), rng)
        lesson = self.teacher.look(x)
        with half_precision():
            backbone, towers = self.net.features(x)
            maps = self.net.maps(towers)
            hints = self.hints([*backbone, *towers], lesson.features)
        loss = detector_loss(maps, targets, lesson.scores)
        self.net.zero_grad(set_to_none=True)
        self.hints.zero_grad(set_to_none=True)
        (loss.total + self.options.hint_weight * hints).backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 10.0)
        self.muon.step()
        self.adam.step()
        self.average.update(self.net, step=self.step)
        self.step += 1
        parts = {"total": loss.total, "score": loss.score, "box": loss.box, "points": loss.points}
        parts["hints"] = hints
        return {"factor": factor, **{name: float(value.detach()) for name, value in parts.items()}}


def train(options: Options) -> Path:
    """Run or resume a training; return the exported ONNX file."""
    options.out.mkdir(parents=True, exist_ok=True)
    composer = _composer(options)
    held_out = load_scenes(options.data, split="val")
    torch.set_num_threads(options.threads)
    run = _Run(options)
    pool = SamplePool(
        composer,
        size_px=options.size_px,
        slots=options.slots,
        workers=options.workers,
        seed=options.seed + run.step,
    )
    with pool:
        while pool.written < min(options.slots, 16 * options.batch):
            time.sleep(0.2)
        sums: dict[str, float] = {}
        began = time.monotonic()
        while run.progress() < 1.0:
            losses = run.advance(pool)
            sums = {name: sums.get(name, 0.0) + value for name, value in losses.items()}
            now = time.monotonic()
            run.spent_s, began = run.spent_s + now - began, now
            if run.step % 20 == 0:
                means: dict[str, object] = {name: value / 20 for name, value in sums.items()}
                row = {"step": run.step, "spent_s": run.spent_s, "composed": pool.written, **means}
                append_csv(options.out / "curves.csv", row)
                _LOG.info("%s", " ".join(f"{k}={v:.4g}" for k, v in row.items()))
                sums = {}
            if run.step % options.save_every == 0:
                run.save()
                _report(run, held_out)
        run.save()
        _report(run, held_out)
    return options.out / "detector.onnx"


def _report(run: _Run, scenes: list[Scene]) -> None:
    measured = validate(run.options.out / "detector.onnx", scenes)
    append_csv(run.options.out / "validation.csv", {"step": run.step, **measured})
    _LOG.info("val %s", " ".join(f"{k}={v:.4g}" for k, v in measured.items()))


def _parse(arguments: list[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog="python -m training.detector", description=__doc__)
    add = parser.add_argument
    add("--data", type=Path, default=Path("../shared/faces"), help="the face data folder")
    add("--teachers", type=Path, default=Path("../shared/models"), help="the teacher models")
    add("--out", type=Path, default=Path("runs/detector"), help="checkpoints, curves, ONNX")
    add("--init", type=Path, help="an earlier run's folder, to start from its weights")
    add("--steps", type=int, default=6000, help="steps of the whole schedule")
    add("--minutes", type=float, default=1e6, help="shorten the schedule to this training time")
    add("--batch", type=int, default=32, help="pictures a step")
    add("--size", dest="size_px", type=int, default=320, help="side of the composed pictures")
    add("--slots", type=int, default=3000, help="composed pictures kept for drawing")
    add("--workers", type=int, default=1, help="composing processes")
    add("--threads", type=int, default=2, help="threads of torch")
    add("--rate", type=float, default=2e-3, help="highest rate of what Muon leaves over")
    add("--muon-rate", type=float, default=0.05, help="highest relative step of the filters")
    add("--hints", dest="hint_weight", type=float, default=1.0, help="weight of the features")
    add("--seed", type=int, default=1)
    add("--save-every", type=int, default=200, help="steps between checkpoints")
    add("--crops", type=int, help="use only so many crops, for a quick try")
    return Options(**vars(parser.parse_args(arguments)))


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``python -m training.detector``."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    path = train(_parse(arguments))
    print(path)


if __name__ == "__main__":
    main()
