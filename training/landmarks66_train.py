"""Distil the 66-point net: ``python -m training.landmarks66_train --data ../shared/faces``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from training.generator_data import FaceBank, load_bank, to_tensor
from training.generator_landmarks import landmark_loss, mirror_landmarks
from training.landmarks66 import Landmarks66
from training.runtime import (
    AveragedModel,
    append_csv,
    half_precision,
    load_checkpoint,
    save_checkpoint,
)
from training.teachers import load_teachers

__all__ = ["load_landmarks66", "main"]

_SIZE_PX = 160
_HELD_OUT_EVERY = 40
_LOG_EVERY = 100
Floats = NDArray[np.float32]


def load_landmarks66(folder: Path) -> Landmarks66:
    """The averaged net of a run, frozen and folded.

    Raises:
        FileNotFoundError: The folder holds no checkpoint.
    """
    found = load_checkpoint(folder)
    if found is None:
        raise FileNotFoundError(f"{folder} holds no net; run python -m training.landmarks66_train")
    net = Landmarks66()
    net.load_state_dict(found[1]["average"])
    return net.eval().fold()


@dataclass(frozen=True, slots=True, eq=False)
class _Feed:
    """Makes the batch of a step from the rows that are not held out."""

    bank: FaceBank
    batch: int

    def __call__(self, step: int) -> tuple[Tensor, Tensor, Tensor]:
        rng = np.random.default_rng([3, step])
        rows = rng.integers(0, len(self.bank.crops), self.batch)
        rows += rows % _HELD_OUT_EVERY == 0
        pairs = [_disturbed(self.bank, int(r) % len(self.bank.crops), rng) for r in rows]
        points = torch.from_numpy(np.stack([p for _, p in pairs]))
        return to_tensor(np.stack([c for c, _ in pairs])), points[:, :, :2], points[:, :, 2]


def _disturbed(
    bank: FaceBank, row: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], Floats]:
    """A crop moved, turned, lit otherwise, blurred or compressed, and its points."""
    crop, marks = np.asarray(bank.crops[row]), bank.landmarks[row]
    if rng.random() < 0.5:
        crop = np.ascontiguousarray(crop[:, ::-1])
        marks = mirror_landmarks(marks, width_px=_SIZE_PX)
    shift, scale = rng.normal(size=2) * 3.0, np.exp(rng.normal() * 0.05)
    angle = rng.normal() * 0.08
    c, s = np.cos(angle) * scale, np.sin(angle) * scale
    linear = np.array([[c, -s], [s, c]])
    centre = np.array([80.0, 88.0])
    matrix = np.hstack([linear, (centre + shift - linear @ centre)[:, None]])
    out = cv2.warpAffine(crop, matrix, (_SIZE_PX, _SIZE_PX), borderMode=cv2.BORDER_REFLECT_101)
    if rng.random() < 0.3:
        out = cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, 2.5))
    if rng.random() < 0.5:
        ramp = (np.arange(256) / 255.0) ** np.exp(rng.normal() * 0.3) * np.exp(rng.normal() * 0.2)
        out = cv2.LUT(out, (ramp.clip(0, 1) * 255).astype(np.uint8))
    if rng.random() < 0.3:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(20, 90))]
        out = cv2.imdecode(cv2.imencode(".jpg", out, quality)[1], cv2.IMREAD_COLOR)
    points = marks[:, :2] @ linear.T + matrix[:, 2]
    return np.asarray(out, np.uint8), np.hstack([points, marks[:, 2:]]).astype(np.float32)


@torch.no_grad()
def _held_out_error_px(net: Landmarks66, bank: FaceBank) -> tuple[float, float]:
    """Mean distance to the teacher of all points and of brows, nose, eyes and mouth."""
    rows = np.arange(0, len(bank.crops), _HELD_OUT_EVERY)
    found = [
        net(to_tensor(np.asarray(bank.crops[rows[i : i + 64]]))) for i in range(0, len(rows), 64)
    ]
    distance = np.linalg.norm(torch.cat(found).numpy() - bank.landmarks[rows][:, :, :2], axis=2)
    return float(distance.mean()), float(distance[:, 17:].mean())


def main(argv: Sequence[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="training.landmarks66_train", description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teachers", type=Path, default=Path("../shared/models"))
    parser.add_argument("--cache", type=Path, default=Path("build/cache"))
    parser.add_argument("--out", type=Path, default=Path("build/landmarks66"))
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=4e-3)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    cv2.setNumThreads(1)
    torch.manual_seed(0)
    _train(args, load_bank(args.data, args.cache, load_teachers(args.teachers), None))


def _train(args: argparse.Namespace, bank: FaceBank) -> None:
    net = Landmarks66().to(memory_format=torch.channels_last)
    average = AveragedModel(net, decay=0.995)
    adam = torch.optim.AdamW(net.parameters(), lr=args.rate, betas=(0.9, 0.98))
    feed, step, start = _Feed(bank, args.batch), 0, time.monotonic()
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(feed, 0)
        while (done := (time.monotonic() - start) / 60 / args.minutes) < 1:
            crops, points, confidence = coming.result()
            coming = pool.submit(feed, step + 1)
            for group in adam.param_groups:
                group["lr"] = args.rate * min(1.0, (step + 1) / 100) * max(0.01, 1 - done)
            with half_precision():
                found = net(crops)
            loss = landmark_loss(found, points, confidence)
            adam.zero_grad(set_to_none=True)
            loss.backward()
            adam.step()
            average.update(net, step=step)
            step += 1
            if step % _LOG_EVERY == 0:
                overall, inner = _held_out_error_px(average.model, bank)
                row = {"step": step, "loss": loss.item(), "all_px": overall, "inner_px": inner}
                append_csv(args.out / "curve.csv", row)
                save_checkpoint(args.out, {"average": average.model.state_dict()}, step=step)
    save_checkpoint(args.out, {"average": average.model.state_dict()}, step=step)


if __name__ == "__main__":
    main()
