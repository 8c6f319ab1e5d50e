"""What the detector learns where a teacher has looked, and where it has not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs torch (pip install veilstream[train])")

from torch import Tensor  # noqa: E402 - after the skip

from training.detector import to_input  # noqa: E402 - after the skip
from training.detector_loss import ROW, detector_loss  # noqa: E402 - after the skip
from training.detector_teacher import Hints, YuNetTeacher  # noqa: E402 - after the skip
from training.teachers import load_teachers  # noqa: E402 - after the skip

_CELLS = 12 * 12 + 6 * 6 + 3 * 3
_MIDDLE = 5 * 12 + 5  # the cell at (40, 40) of stride 8
_CORNER = 0


def _gradient(seen: Tensor | None, *, kind: float = 1.0) -> Tensor:
    """Which way each score's logit is pulled, (P,): a face of 32 px in the middle of 96 px."""
    rows = torch.zeros(1, 2, ROW)
    rows[0, 0, :4] = torch.tensor([24.0, 24.0, 56.0, 56.0])
    rows[0, 0, 15] = kind
    maps = [torch.full((1, 15, n, n), -2.0, requires_grad=True) for n in (12, 6, 3)]
    detector_loss((maps[0], maps[1], maps[2]), rows, seen).score.backward()
    pulls = [m.grad[0, 0].flatten() for m in maps if m.grad is not None]
    return torch.cat(pulls)


def _seen(score: float, cell: int) -> Tensor:
    seen = torch.zeros(1, _CELLS)
    seen[0, cell] = score
    return seen


def test_a_face_is_learnt_as_softly_as_the_teacher_sees_it() -> None:
    pull = _gradient(_seen(0.9, _MIDDLE))
    assert pull[_MIDDLE] < 0  # towards 0.9
    assert pull[_MIDDLE - 1] > 0  # the neighbour, which the labels alone would call a face
    assert _gradient(None)[_MIDDLE - 1] < 0


def test_a_face_that_the_teacher_misses_is_learnt_from_its_label() -> None:
    assert torch.equal(_gradient(_seen(0.2, _MIDDLE)), _gradient(None))


def test_what_no_label_calls_a_face_is_denied_unless_the_teacher_is_sure() -> None:
    assert _gradient(_seen(0.5, _CORNER))[_CORNER] > 0
    assert _gradient(_seen(0.8, _CORNER))[_CORNER] == 0


def test_inside_an_ignored_face_the_teacher_alone_speaks() -> None:
    assert _gradient(None, kind=2.0)[_MIDDLE] == 0
    assert _gradient(_seen(0.9, _MIDDLE), kind=2.0)[_MIDDLE] < 0


def test_hints_vanish_when_the_features_agree() -> None:
    torch.manual_seed(0)
    hints = Hints((64, 64, 64), 64)
    for layer in hints.maps:
        torch.nn.init.dirac_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    maps = [torch.randn(2, 64, 4, 4) for _ in range(6)]
    assert hints(maps, maps).item() == pytest.approx(0.0, abs=1e-9)
    assert hints([m + 1.0 for m in maps], maps).item() > 0.1


@pytest.mark.shared
@pytest.mark.slow
def test_teacher_scores_the_cells_where_its_own_reader_finds_faces(shared: Path) -> None:
    bgr = cv2.imread(str(next((shared / "faces" / "portraits_cc0").glob("female_*.jpg"))))
    bgr = cv2.resize(bgr, (320, 320))
    teacher = YuNetTeacher(shared / "models" / "yunet_n_dynamic.onnx", threads=1)
    lesson = teacher.look(to_input(np.ascontiguousarray(bgr[None, ..., ::-1])))
    boxes, _, scores = load_teachers(shared / "models").detect_yunet(bgr, score=0.5)
    assert len(boxes) == 1
    assert lesson.scores.shape == (1, 40 * 40 + 20 * 20 + 10 * 10)
    assert float(lesson.scores.max()) == pytest.approx(float(scores[0]), abs=1e-3)
    assert [f.shape[2] for f in lesson.features] == [40, 20, 10] * 2
