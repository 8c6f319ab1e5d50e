"""Fit the encoder's last layer in closed form: `python -m training.encoder_readout`.

The trained network pools before its last layer. A ridge regression from everything the network
knows of a face (its last map, cell by cell, and the pooled features) to the teacher's embeddings
costs one pass over the pictures, and it has no learning rate.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from training.crops import ARCFACE
from training.encoder_model import EMBEDDING_DIM, Encoder
from training.encoder_watch import held_out_crops
from training.runtime import half_precision, load_checkpoint, save_checkpoint

__all__ = ["ReadoutEncoder", "fit_readout", "load_readout_encoder", "main"]

_LOG = logging.getLogger(__name__)
# The teacher's last layer has 192 inputs, so its embeddings span no more dimensions.
_RANK = 192


class ReadoutEncoder(nn.Module):
    """An encoder with a linear readout of its last map and its pooled features.

    Args:
        encoder: The trained network.
        side: Cells along a side of the last map; fixes the input size to 16 times that.
    """

    def __init__(self, encoder: Encoder, *, side: int) -> None:
        super().__init__()
        encoder.fix_size(16 * side)
        self.encoder = encoder
        self.side = side
        channels = encoder.expand[0].in_channels
        self.squeeze = nn.Linear(channels * side**2 + EMBEDDING_DIM, _RANK)
        self.project = nn.Linear(_RANK, EMBEDDING_DIM)

    def features(self, x: Tensor) -> Tensor:
        """What the readout reads, (N, D) float32, of ``x`` (N, 3, S, S) float32 in [-1, 1]."""
        blocks, last = self.encoder.last_maps(x)
        return torch.cat([blocks.float().flatten(1), self.encoder.pool(last).float()], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Raw embedding (N, 512), not normalised."""
        embedding: Tensor = self.project(self.squeeze(self.features(x)))
        return embedding


@torch.no_grad()
def fit_readout(
    model: ReadoutEncoder, batches: Iterator[tuple[Tensor, Tensor]], *, ridges: tuple[float, ...]
) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Solve the ridge regression for several strengths.

    Args:
        model: The network whose features are read.
        batches: Inputs (N, 3, S, S) float32 and unit targets (N, 512).
        ridges: Strengths, relative to the mean variance of a feature.

    Returns:
        For each strength the weights (D, 512), the features' mean (D,), the targets' mean (512,).
    """
    dim = model.squeeze.in_features
    gram, cross = torch.zeros(dim, dim), torch.zeros(dim, EMBEDDING_DIM)
    feature_sum, target_sum, count = torch.zeros(dim), torch.zeros(EMBEDDING_DIM), 0
    for x, target in batches:
        with half_precision():
            features = model.features(x)
        gram.addmm_(features.T, features)
        cross.addmm_(features.T, target)
        feature_sum += features.sum(0)
        target_sum += target.sum(0)
        count += len(x)
    feature_mean, target_mean = feature_sum / count, target_sum / count
    gram = gram / count - feature_mean[:, None] * feature_mean
    cross = cross / count - feature_mean[:, None] * target_mean
    strength = gram.diagonal().mean()
    solved = []
    for ridge in ridges:
        factor = torch.linalg.cholesky(gram + ridge * strength * torch.eye(dim))
        solved.append((torch.cholesky_solve(cross, factor), feature_mean, target_mean))
    return solved


@torch.no_grad()
def _install(model: ReadoutEncoder, solution: tuple[Tensor, Tensor, Tensor]) -> None:
    """Put a solution into the two layers: exact as long as its rank is at most 192."""
    weights, feature_mean, target_mean = solution
    _, _, basis = torch.linalg.svd(weights.T @ weights)
    basis = basis[:_RANK]
    model.squeeze.weight.copy_((weights @ basis.T).T)
    model.squeeze.bias.copy_(-(feature_mean @ weights) @ basis.T)
    model.project.weight.copy_(basis.T)
    model.project.bias.copy_(target_mean)


def load_readout_encoder(run: Path) -> ReadoutEncoder:
    """The fitted model that ``main`` left in ``run/readout``.

    Raises:
        FileNotFoundError: There is none.
    """
    checkpoint = load_checkpoint(run / "readout")
    if checkpoint is None:
        raise FileNotFoundError(f"{run} holds no readout; run python -m training.encoder_readout")
    model = ReadoutEncoder(Encoder(), side=int(checkpoint[2]["side"])).eval()
    model.load_state_dict(checkpoint[1]["readout"])
    return model


def _batches(cache: Path, size_px: int, *, every: int) -> Iterator[tuple[Tensor, Tensor]]:
    """All photographs as they are and mirrored, with their targets."""
    crops = np.load(cache / "crops160.npy", mmap_mode="r")
    for name, mirrored in (("edgeface_xs.npy", False), ("edgeface_xs_flip.npy", True)):
        targets = np.load(cache / name)[::every]
        chosen = crops[::every, ARCFACE, ARCFACE]
        for i in range(0, len(chosen), 256):
            faces = np.ascontiguousarray(chosen[i : i + 256, :, :: -1 if mirrored else 1])
            yield _as_input(faces, size_px), torch.from_numpy(targets[i : i + 256])


def _as_input(faces: NDArray[np.uint8], size_px: int) -> Tensor:
    x = torch.from_numpy(faces).permute(0, 3, 1, 2).float().sub_(127.5).div_(127.5)
    small = F.interpolate(x, size=(size_px, size_px), mode="bilinear", align_corners=False)
    return small.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def _mean_cosine(model: nn.Module, faces: Tensor, target: Tensor, size_px: int) -> float:
    total = 0.0
    for i in range(0, len(faces), 128):
        pixels = np.ascontiguousarray(faces[i : i + 128].permute(0, 2, 3, 1).numpy())
        raw = model(_as_input(pixels, size_px))
        total += F.cosine_similarity(raw, target[i : i + 128]).sum().item()
    return total / len(faces)


def main() -> None:
    """Command line."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--teachers", type=Path, default=Path("../shared/models"))
    parser.add_argument("--cache", type=Path, default=Path("../cache"))
    parser.add_argument("--run", type=Path, default=Path("runs/encoder"))
    parser.add_argument("--size-px", type=int, default=64)
    parser.add_argument("--every", type=int, default=1, help="use every n-th photograph")
    args = parser.parse_args()
    torch.set_num_threads(1)
    checkpoint = load_checkpoint(args.run)
    if checkpoint is None:
        raise FileNotFoundError(f"{args.run} holds no checkpoint")
    encoder = Encoder().eval()
    encoder.load_state_dict(checkpoint[1]["average"])
    held_out = held_out_crops(args.data, args.teachers)
    best = _mean_cosine(encoder, *held_out, args.size_px)
    _LOG.info("trained head: held-out cosine %.4f", best)
    model = ReadoutEncoder(encoder, side=args.size_px // 16).eval()
    ridges = (0.03, 0.3, 3.0)
    solutions = fit_readout(
        model, _batches(args.cache, args.size_px, every=args.every), ridges=ridges
    )
    for ridge, solution in zip(ridges, solutions, strict=True):
        _install(model, solution)
        cosine = _mean_cosine(model, *held_out, args.size_px)
        _LOG.info("ridge %g: held-out cosine %.4f", ridge, cosine)
        if cosine > best:
            best = cosine
            extra = {"side": model.side, "ridge": ridge, "held_out": cosine}
            state = {"readout": model.state_dict()}
            save_checkpoint(args.run / "readout", state, step=checkpoint[0], extra=extra)


if __name__ == "__main__":
    main()
