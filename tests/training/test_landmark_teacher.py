"""The landmarks' teacher in PyTorch says what its file says, and lets gradients through."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import Tensor  # noqa: E402 - after the skip

from training.generator_landmarks import label_landmarks  # noqa: E402 - after the skip
from training.landmark_teacher import LandmarkTeacher  # noqa: E402 - after the skip
from training.teachers import load_teachers  # noqa: E402 - after the skip


def _crops(shared: Path) -> Tensor:
    faces = []
    for path in sorted((shared / "faces" / "portraits_cc0").glob("*.jpg"))[:6]:
        picture = np.asarray(cv2.imread(str(path)), np.uint8)
        side = min(picture.shape[:2])
        faces.append(cv2.resize(picture[:side, :side, ::-1], (160, 160)))
    return torch.from_numpy(np.stack(faces))


def test_it_finds_what_its_file_finds(shared: Path) -> None:
    crops = _crops(shared)
    labels = label_landmarks(crops.numpy(), load_teachers(shared / "models"))
    points, sureness = LandmarkTeacher(shared / "models")(crops.permute(0, 3, 1, 2) / 127.5 - 1)
    apart = np.linalg.norm(points.numpy() - labels[..., :2], axis=2)
    assert float(np.median(apart)) < 0.3  # pixels: all cells around a point have their say
    np.testing.assert_allclose(sureness.numpy(), labels[..., 2].clip(0, 1), atol=0.15)


def test_gradients_reach_the_picture_and_not_the_teacher(shared: Path) -> None:
    teacher = LandmarkTeacher(shared / "models")
    crops = (_crops(shared)[:2].permute(0, 3, 1, 2) / 127.5 - 1).requires_grad_(True)
    points, _ = teacher(crops)
    points.sum().backward()
    assert crops.grad is not None
    assert torch.isfinite(crops.grad).all()
    assert crops.grad.abs().max() > 0
    assert not list(teacher.parameters())
