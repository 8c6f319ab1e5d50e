"""The protecting branch of the generator."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch: pip install .[train]")

from training.generator_portraits import PortraitNet  # noqa: E402 - after the skip
from training.generator_pseudo import nearest_pose, pseudo_swap  # noqa: E402 - after the skip
from training.landmarks66 import Landmarks66  # noqa: E402 - after the skip


def _marks() -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    angle = np.linspace(np.pi, 0, 17)
    marks = np.random.default_rng(0).uniform(60, 110, (66, 3)).astype(np.float32)
    marks[:17, 0], marks[:17, 1] = 80 + 45 * np.cos(angle), 80 + 60 * np.sin(angle)
    marks[17:27, 0], marks[17:27, 1] = np.linspace(45, 115, 10), 65
    return marks


def test_pseudo_swap_changes_the_face_and_nothing_else() -> None:
    rng = np.random.default_rng(1)
    crop, other = rng.integers(0, 256, (2, 160, 160, 3)).astype(np.uint8)
    out = pseudo_swap(crop, _marks(), other, _marks())
    assert np.array_equal(out[:20], crop[:20])
    assert np.abs(out[80:100, 70:90].astype(int) - crop[80:100, 70:90]).mean() > 20


def test_nearest_pose_finds_the_same_marks() -> None:
    others = np.stack([_marks() + 5, _marks(), _marks() - 9])
    assert nearest_pose(_marks(), others) == 1


@pytest.mark.slow
def test_portraits_depend_on_the_identity_alone_in_their_choice() -> None:
    torch.manual_seed(0)
    portraits = torch.rand(3, 3, 160, 160) * 2 - 1
    keys = torch.nn.functional.normalize(torch.randn(2, 3, 8), dim=2)
    net = PortraitNet(Landmarks66().eval().fold(), portraits, keys)
    crop = torch.rand(1, 3, 160, 160) * 2 - 1
    with torch.no_grad():
        first, alpha = net(crop, keys[0, :1])
        again, _ = net(crop, keys[0, :1] * 0.9)
        other, _ = net(crop, keys[0, 1:2])
    assert first.shape == (1, 3, 160, 160)
    assert alpha.shape == (1, 1, 160, 160)
    assert first.abs().max() <= 1
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
