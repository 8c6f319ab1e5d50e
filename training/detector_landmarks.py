"""Trains the landmark network: ``python -m training.detector_landmarks --data ../shared/faces``.

Faces are turned, shifted, covered, shrunk, darkened and made noisy at random; the network finds the
five points, and finds them again in a second look cut by its own first answer, as in the product.
Seeded; a run that is started again on the same ``--out`` folder goes on from its last checkpoint.
Writes ``curves.csv``, checkpoints and ``landmarks.onnx`` (averaged weights) below ``--out``.
"""

from __future__ import annotations

import argparse
import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from training.data_scenes import CropSet, load_crops
from training.landmark_draws import (
    GreyCrops,
    Look,
    Picture,
    draw_pictures,
    first_looks,
    second_looks,
)
from training.landmark_net import LandmarkNet, export_landmarks
from training.rebuild import load_for_training
from training.runtime import (
    AveragedModel,
    append_csv,
    half_precision,
    load_checkpoint,
    save_checkpoint,
)
from training.teachers import crop_boxer, load_teachers

__all__ = ["Options", "held_out_errors", "main", "train"]

_LOG = logging.getLogger(__name__)
_HELD_OUT = 400


@dataclass(frozen=True, slots=True)
class Options:
    """What a run needs; see ``--help``."""

    data: Path
    teachers: Path
    boxes: Path
    out: Path
    init: Path | None
    steps: int
    minutes: float
    batch: int
    rate: float
    threads: int
    seed: int
    save_every: int
    crops: int | None


def to_input(grey: NDArray[np.uint8]) -> Tensor:
    """Turn crops ``(N, 64, 64)`` into the network's input ``(N, 1, 64, 64)``, channels last."""
    x = (torch.from_numpy(grey)[:, None].float() - 127.5) / 127.5
    return x.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def held_out_errors(net: nn.Module, pictures: list[Picture]) -> tuple[float, float]:
    """Mean distance of the points in eye distances after the first and after the second look."""
    first = first_looks(pictures)
    found = net(to_input(first.grey)).numpy()
    second = second_looks(pictures, first.in_pictures(found))
    return _error(found, first), _error(net(to_input(second.grey)).numpy(), second)


def _error(points: NDArray[np.float32], look: Look) -> float:
    unit = np.linalg.norm(look.wanted[:, 1] - look.wanted[:, 0], axis=1)
    distance = np.linalg.norm(points.reshape(-1, 5, 2) - look.wanted, axis=2).mean(1)
    return float((distance / unit).mean())


def _loss(points: Tensor, wanted: Tensor) -> Tensor:
    """Mean distance in eye distances: what is measured, but smooth at zero."""
    unit = (wanted[:, 1] - wanted[:, 0]).norm(dim=1)[:, None]
    distance = torch.sqrt((points.reshape(-1, 5, 2) - wanted).square().sum(2) + 1e-6) / unit
    return distance.mean()


class _Run:
    """State of one training: network, average, optimiser and the step reached."""

    def __init__(self, options: Options, example: Tensor) -> None:
        torch.manual_seed(options.seed)
        self.options = options
        self.net = LandmarkNet().to(memory_format=torch.channels_last)
        self.step, self.spent_s = 0, 0.0
        found = load_checkpoint(options.out)
        if found is None and options.init is not None:
            load_for_training(self.net, options.init, example, prefix="")
        self.net.train()
        self.adam = torch.optim.AdamW(self.net.parameters(), lr=options.rate, weight_decay=0.01)
        self.average = AveragedModel(self.net, decay=0.998)
        if found is not None:
            self.step, parts, extra = found
            self.net.load_state_dict(parts["net"])
            self.average.model.load_state_dict(parts["average"])
            self.adam.load_state_dict(parts["optimizer"])
            self.spent_s = float(extra["spent_s"])
            _LOG.info("going on from step %d", self.step)

    def progress(self) -> float:
        """Return the share of the schedule that is done, by steps or by time."""
        by_time = self.spent_s / 60 / self.options.minutes
        return min(1.0, max(self.step / self.options.steps, by_time))

    def advance(self, grey: NDArray[np.uint8], wanted: NDArray[np.float32]) -> tuple[Tensor, float]:
        """Take one step; return the points found, ``(N, 10)``, and the loss."""
        progress = self.progress()
        factor = 0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * progress))
        for group in self.adam.param_groups:
            group["lr"] = self.options.rate * factor * min(1.0, (self.step + 1) / 100)
        with half_precision():
            points = self.net(to_input(grey))
        loss = _loss(points, torch.from_numpy(wanted))
        self.adam.zero_grad(set_to_none=True)
        loss.backward()
        self.adam.step()
        self.average.update(self.net, step=self.step)
        self.step += 1
        return points.detach(), float(loss.detach())

    def save(self) -> None:
        """Write a checkpoint and the averaged weights as ONNX."""
        parts = {
            "net": self.net.state_dict(),
            "average": self.average.model.state_dict(),
            "optimizer": self.adam.state_dict(),
        }
        save_checkpoint(self.options.out, parts, step=self.step, extra={"spent_s": self.spent_s})
        draft = self.options.out / "landmarks.onnx.new"
        export_landmarks(self.average.model, draft)
        draft.replace(self.options.out / "landmarks.onnx")


def train(options: Options) -> Path:
    """Run or resume a training; return the exported ONNX file."""
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    crops, held_out = (GreyCrops.of(_load(options, split)) for split in ("train", "val"))
    _LOG.info("%d crops, %d held out", len(crops.luma), len(held_out.luma))
    even = np.full(len(held_out.luma), 1 / len(held_out.luma))
    watched = draw_pictures(held_out, even, _HELD_OUT, np.random.default_rng(11), tilt_deg=45)
    run = _Run(options, to_input(first_looks(watched).grey))
    if run.step == 0:
        _watch(run, watched, [])
    shares, losses = crops.shares(), list[float]()
    again: tuple[list[Picture], NDArray[np.float32]] | None = None
    began = time.monotonic()
    while run.progress() < 1:
        rng = np.random.default_rng((options.seed, run.step))
        pictures = draw_pictures(crops, shares, options.batch // 2, rng)
        looks = [first_looks(pictures)]
        if again is not None:  # each face comes twice: where its box says, then where we said
            looks.append(second_looks(*again))
        points, loss = run.advance(
            np.concatenate([look.grey for look in looks]),
            np.concatenate([look.wanted for look in looks]),
        )
        again = pictures, looks[0].in_pictures(points[: len(pictures)].numpy())
        losses.append(loss)
        now = time.monotonic()
        run.spent_s, began = run.spent_s + now - began, now
        if run.step % options.save_every == 0 or run.progress() >= 1:
            _watch(run, watched, losses)
            run.save()
            losses = []
    return options.out / "landmarks.onnx"


def _load(options: Options, split: str) -> CropSet:
    boxer = crop_boxer(load_teachers(options.teachers))
    return load_crops(
        options.data, split=split, boxer=boxer, cache=options.boxes, limit=options.crops
    )


def _watch(run: _Run, pictures: list[Picture], losses: list[float]) -> None:
    first, second = held_out_errors(run.average.model, pictures)
    row = {
        "step": run.step,
        "spent_s": run.spent_s,
        "loss": float(np.mean(losses)) if losses else math.nan,
        "held_out_first": first,
        "held_out": second,
    }
    append_csv(run.options.out / "curves.csv", row)
    _LOG.info("%s", " ".join(f"{name}={value:.4g}" for name, value in row.items()))


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``python -m training.detector_landmarks``."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(prog="python -m training.detector_landmarks")
    add = parser.add_argument
    add("--data", type=Path, default=Path("../shared/faces"), help="the face data folder")
    add("--teachers", type=Path, default=Path("../shared/models"), help="the teacher models")
    add("--boxes", type=Path, default=Path("runs/detector/crop_boxes.npz"), help="crop boxes")
    add("--out", type=Path, default=Path("runs/landmarks"), help="curves, checkpoints, ONNX")
    add("--init", type=Path, help="landmarks.onnx to start from")
    add("--steps", type=int, default=20_000, help="steps of the whole schedule")
    add("--minutes", type=float, default=1e6, help="shorten the schedule to this training time")
    add("--batch", type=int, default=96, help="looks a step")
    add("--rate", type=float, default=3e-3, help="highest learning rate")
    add("--threads", type=int, default=2, help="threads of torch")
    add("--seed", type=int, default=1)
    add("--save-every", type=int, default=200, help="steps between checkpoints")
    add("--crops", type=int, help="use only so many crops, for a quick try")
    print(train(Options(**vars(parser.parse_args(arguments)))))


if __name__ == "__main__":
    main()
