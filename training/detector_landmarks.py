"""Trains the landmark refiner: ``python -m training.detector_landmarks --data ../shared/faces``.

Aligned crops are turned, shifted, covered, darkened and blurred at random; the network finds the
five points again.  Seeded; writes ``curves.csv``, a checkpoint
and ``landmarks.onnx`` below ``--out``.  Go on from a checkpoint with ``--init``.
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
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from engines.landmarks import CROP_PX, crop_matrix, grey_crop
from training.data_scenes import CropSet, Faces, load_crops
from training.data_scenes_geometry import points_through
from training.data_scenes_paint import occlude
from training.runtime import AveragedModel, append_csv, load_checkpoint, save_checkpoint

__all__ = ["GreyCrops", "LandmarkNet", "draw_crops", "export_landmarks", "landmark_errors", "main"]

_LOG = logging.getLogger(__name__)
_TILT_DEG = 60.0
_FLIP = np.array([-1, 1], np.float32)
_SHIFT = np.array([CROP_PX - 1, 0], np.float32)


@dataclass(frozen=True, slots=True)
class Options:
    """What a run needs; see ``--help``."""

    data: Path
    boxes: Path
    out: Path
    init: Path | None
    minutes: float
    batch: int
    rate: float
    threads: int
    seed: int


class LandmarkNet(nn.Module):
    """Maps ``(N, 1, 64, 64)`` in [-1, 1] to ``(N, 10)`` offsets from the middle, in half sides."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs, stride in (
            (1, 16, 2), (16, 24, 2), (24, 24, 1), (24, 48, 2), (48, 48, 1), (48, 64, 2), (64, 64, 1)
        ):  # fmt: skip
            layers += [
                nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False),
                nn.BatchNorm2d(outputs),
                nn.ReLU(inplace=True),
            ]
        self.features = nn.Sequential(*layers)
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(64 * 16, 128), nn.ReLU(), nn.Linear(128, 10)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Compute the points."""
        return self.head(self.features(x))


@dataclass(frozen=True, slots=True, eq=False)
class GreyCrops:
    """Crops decoded once: ``luma (N, 160, 160) uint8``, ``box (N, 4)``, ``points (N, 5, 2)``."""

    luma: NDArray[np.uint8]
    box: NDArray[np.float32]
    points: NDArray[np.float32]

    @staticmethod
    def of(crops: CropSet) -> GreyCrops:
        """Decode all of ``crops``; decoding at every draw would take most of a step."""
        luma = np.empty((len(crops.encoded), 160, 160), np.uint8)
        for index, target in enumerate(luma):
            target[:] = cv2.cvtColor(crops.rgb(index), cv2.COLOR_RGB2GRAY)
        return GreyCrops(luma, crops.box, crops.points)


def draw_crops(
    crops: GreyCrops, count: int, rng: np.random.Generator, *, tilt_deg: float = _TILT_DEG
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Draw crops as a detector's boxes would cut them.

    Returns:
        ``(count, 64, 64)`` grey and ``(count, 5, 2)`` points in half sides from the middle.
    """
    grey = np.empty((count, CROP_PX, CROP_PX), np.uint8)
    wanted = np.empty((count, 5, 2), np.float32)
    for n in range(count):
        index = int(rng.integers(len(crops.luma)))
        luma, points, box = crops.luma[index], crops.points[index], crops.box[index]
        if rng.random() < 0.35:
            luma = _covered(luma, Faces(box[None], points[None], np.zeros(1, np.bool_)), rng)
        size = box[2:] - box[:2]
        middle = (box[:2] + box[2:]) / 2 + rng.normal(0, 0.05, 2) * size
        half = size / 2 * np.exp(rng.normal(0, 0.08, 2))
        box = np.concatenate([middle - half, middle + half]).astype(np.float32)
        spread = rng.random() < 0.6
        angle = float(rng.uniform(-tilt_deg, tilt_deg) if spread else rng.normal(0, 8))
        matrix = crop_matrix(box, angle_deg=angle)
        crop, local = grey_crop(luma, matrix), points_through(matrix, points)
        if rng.random() < 0.5:
            crop = np.ascontiguousarray(crop[:, ::-1])
            local = local[[1, 0, 2, 4, 3]] * _FLIP + _SHIFT
        grey[n] = _worn(crop, rng)
        wanted[n] = local * (2 / CROP_PX) - 1
    return grey, wanted


def _covered(luma: NDArray[np.uint8], face: Faces, rng: np.random.Generator) -> NDArray[np.uint8]:
    rgb = np.repeat(luma[..., None], 3, 2)
    occlude(rgb, face, rng, share_ratio=1.0)
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.uint8)


def _worn(crop: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Lower resolution, less light, less contrast, noise."""
    if rng.random() < 0.45:
        side = int(rng.integers(12, 56))
        small = cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
        crop = np.asarray(cv2.resize(small, (CROP_PX, CROP_PX)), np.uint8)
    gain, lift = float(np.exp(rng.normal(-0.1, 0.4))), float(rng.normal(0, 15))
    noise = rng.normal(0, float(rng.uniform(0, 8)), crop.shape) if rng.random() < 0.4 else 0.0
    return np.clip(crop * gain + lift + noise, 0, 255).astype(np.uint8)


def _to_input(grey: NDArray[np.uint8]) -> Tensor:
    x = (torch.from_numpy(grey)[:, None].float() - 127.5) / 127.5
    return x.contiguous(memory_format=torch.channels_last)


def landmark_errors(
    net: nn.Module, crops: GreyCrops, *, count: int, tilt_deg: float
) -> NDArray[np.float64]:
    """Mean distance of the points in eye distances for ``count`` drawn crops, ``(count,)``."""
    grey, wanted = draw_crops(crops, count, np.random.default_rng(11), tilt_deg=tilt_deg)
    with torch.no_grad():
        points = net(_to_input(grey)).numpy().reshape(-1, 5, 2)
    unit = np.linalg.norm(wanted[:, 1] - wanted[:, 0], axis=1)
    return np.asarray(np.linalg.norm(points - wanted, axis=2).mean(1) / unit, np.float64)


def _loss(points: Tensor, wanted: Tensor) -> Tensor:
    unit = (wanted[:, 2:4] - wanted[:, :2]).norm(dim=1, keepdim=True)
    error = (points - wanted) / unit
    return nn.functional.smooth_l1_loss(error, torch.zeros_like(error), beta=0.03)


def export_landmarks(net: nn.Module, path: Path) -> None:
    """Write ``net`` as ONNX opset 17 with a free batch size."""
    torch.onnx.export(
        net.eval(),
        (torch.zeros(1, 1, CROP_PX, CROP_PX),),
        str(path),
        input_names=["input"],
        output_names=["points"],
        dynamic_axes={"input": {0: "N"}, "points": {0: "N"}},
        opset_version=17,
        dynamo=False,  # the new exporter needs onnxscript and keeps batch norms apart
    )
    onnx.checker.check_model(str(path))


def train(options: Options) -> Path:
    """Run a training; return the exported ONNX file."""

    def no_box(rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        raise FileNotFoundError(f"{options.boxes} lacks boxes; training.detector makes that file")

    crops, held_out = (
        GreyCrops.of(load_crops(options.data, split=split, boxer=no_box, cache=options.boxes))
        for split in ("train", "val")
    )
    torch.manual_seed(options.seed)
    torch.set_num_threads(options.threads)
    cv2.setNumThreads(1)
    net = LandmarkNet().to(memory_format=torch.channels_last)
    found = load_checkpoint(options.init) if options.init is not None else None
    if found is not None:
        net.load_state_dict(found[1]["net"])
    optimizer = torch.optim.AdamW(net.parameters(), lr=options.rate, weight_decay=0.01)
    average = AveragedModel(net, decay=0.995)
    rng, began, step, losses = np.random.default_rng(options.seed), time.monotonic(), 0, 0.0
    while (progress := (time.monotonic() - began) / 60 / options.minutes) < 1:
        for group in optimizer.param_groups:
            group["lr"] = options.rate * (0.01 + 0.99 * (0.5 + 0.5 * math.cos(math.pi * progress)))
        grey, wanted = draw_crops(crops, options.batch, rng)
        with torch.autocast("cpu", torch.bfloat16):
            points = net(_to_input(grey))
        loss = _loss(points.float(), torch.from_numpy(wanted.reshape(-1, 10)))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        average.update(net, step=step)
        step, losses = step + 1, losses + float(loss.detach())
        if step % 100 == 0:
            error = float(landmark_errors(average.model, held_out, count=100, tilt_deg=45).mean())
            row = {"step": step, "progress": progress, "loss": losses / 100, "held_out": error}
            append_csv(options.out / "curves.csv", row)
            _LOG.info("%s", row)
            losses = 0.0
    save_checkpoint(options.out, {"net": average.model.state_dict()}, step=step)
    export_landmarks(average.model, options.out / "landmarks.onnx")
    return options.out / "landmarks.onnx"


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``python -m training.detector_landmarks``."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(prog="python -m training.detector_landmarks")
    add = parser.add_argument
    add("--data", type=Path, default=Path("../shared/faces"), help="the face data folder")
    add("--boxes", type=Path, default=Path("runs/detector/crop_boxes.npz"), help="crop boxes")
    add("--out", type=Path, default=Path("runs/landmarks"), help="curves and ONNX")
    add("--init", type=Path, help="an earlier run's folder, to start from its weights")
    add("--minutes", type=float, default=10.0, help="training time")
    add("--batch", type=int, default=64)
    add("--rate", type=float, default=2e-3, help="highest learning rate")
    add("--threads", type=int, default=2, help="threads of torch")
    add("--seed", type=int, default=1)
    options = Options(**vars(parser.parse_args(arguments)))
    options.out.mkdir(parents=True, exist_ok=True)
    print(train(options))


if __name__ == "__main__":
    main()
