"""The 66 landmarks: the net, its loss, and the mirror."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install .[train]")

from training.generator_landmarks import landmark_loss, mirror_landmarks  # noqa: E402 - after the skip
from training.landmarks66 import Landmarks66  # noqa: E402 - after the skip


def test_landmark_net_and_its_loss() -> None:
    found = Landmarks66().eval()(torch.zeros(1, 3, 160, 160))
    assert found.shape == (1, 66, 2)
    assert landmark_loss(found, found, torch.ones(66)) < 1e-6


def test_folding_a_landmark_net_changes_nothing() -> None:
    net = Landmarks66()
    for layer in net.modules():
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.running_var.uniform_(0.5, 2.0)
            layer.running_mean.normal_()
            torch.nn.init.uniform_(layer.weight, 0.5, 2.0)
    net, crops = net.eval(), torch.rand(1, 3, 160, 160)
    with torch.no_grad():
        assert torch.allclose(net(crops), net.fold()(crops), atol=1e-2)


def test_mirroring_landmarks_twice_changes_nothing() -> None:
    marks = np.random.default_rng(0).uniform(0, 159, (66, 3)).astype(np.float32)
    twice = mirror_landmarks(mirror_landmarks(marks, width_px=160), width_px=160)
    assert np.allclose(twice, marks, atol=1e-4)
