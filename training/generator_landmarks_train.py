"""Distils the landmark net that keeps the expression while the generator is trained."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from training.generator_data import FaceBank
from training.generator_landmarks import LandmarkNet, landmark_loss

__all__ = ["load_landmark_net"]


def load_landmark_net(
    bank: FaceBank, path: Path, *, seed: int, images: int = 24_000
) -> LandmarkNet:
    """Read the frozen net from ``path``, or train it for ``images`` faces and write it there."""
    net = LandmarkNet()
    if path.exists():
        net.load_state_dict(torch.load(path, weights_only=True))
    else:
        _train(net, bank, np.random.default_rng(seed), images)
        torch.save(net.state_dict(), path)
    return net.eval().requires_grad_(False)


def _train(
    net: LandmarkNet, bank: FaceBank, rng: np.random.Generator, images: int, *, batch: int = 32
) -> None:
    net.to(memory_format=torch.channels_last)
    steps = max(1, images // batch)
    adam = torch.optim.Adam(net.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, 3e-3, total_steps=steps + 1, pct_start=0.2)
    for _ in range(steps):
        faces = bank.sample(batch, rng)
        noise = torch.from_numpy(rng.normal(size=faces.crops.shape).astype(np.float32))
        crops = (faces.crops + 0.05 * noise).contiguous(memory_format=torch.channels_last)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            found = net(crops)
        loss = landmark_loss(found, faces.landmarks_px, faces.confidence)
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()
        schedule.step()
