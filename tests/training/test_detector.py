from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from engines.detector import DetectorSettings, FaceDetector  # noqa: E402 - after the skip
from engines.ort_engine import OrtEngine  # noqa: E402 - after the skip
from training.data_scenes import CropSet, Faces, Scene, empty_faces  # noqa: E402 - after the skip
from training.data_scenes_compose import Composer  # noqa: E402 - after the skip
from training.data_scenes_geometry import (  # noqa: E402 - after the skip
    boxes_through,
    clip_faces,
    similarity,
)
from training.detector import mirror, to_input  # noqa: E402 - after the skip
from training.detector_loss import ROW, detector_loss  # noqa: E402 - after the skip
from training.detector_net import DetectorNet, export_onnx  # noqa: E402 - after the skip
from training.detector_pool import target_rows  # noqa: E402 - after the skip


def tiny_net() -> DetectorNet:
    torch.manual_seed(0)
    return DetectorNet(widths=(8, 8, 8, 8), blocks=(0, 0, 0), neck=8, head=8)


def one_face(x1: float, y1: float, x2: float, y2: float) -> Faces:
    points = np.array([[[0.3, 0.4], [0.7, 0.4], [0.5, 0.6], [0.35, 0.8], [0.65, 0.8]]], np.float32)
    size = np.array([x2 - x1, y2 - y1], np.float32)
    box = np.array([[x1, y1, x2, y2]], np.float32)
    return Faces(box, points * size + box[0, :2], np.zeros(1, np.bool_))


def material() -> tuple[list[Scene], CropSet]:
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 255, (200, 240, 3), np.uint8)
    scenes = [
        Scene("a", "wider", rgb, one_face(50, 40, 110, 120)),
        Scene("b", "noface", rgb[::-1].copy(), empty_faces()),
    ]
    encoded = cv2.imencode(".png", rgb[:160, :160])[1].tobytes()
    face = one_face(45, 40, 115, 130)
    quad = np.array([[[0, 0], [160, 0], [160, 160], [0, 160]]], np.float32)
    crops = CropSet([encoded], face.box_xyxy_px, face.points_px, quad, np.ones(1, np.float32), [{}])
    return scenes, crops


def test_quarter_turn_swaps_the_sides_of_a_box() -> None:
    turn = similarity(scale=1.0, angle_deg=90, source_xy=(20.0, 30.0), target_xy=(20.0, 30.0))
    moved = boxes_through(turn, np.array([[10, 10, 30, 50]], np.float32))
    np.testing.assert_allclose(moved, [[0, 20, 40, 40]], atol=1e-4)


def test_faces_cut_by_the_edge_are_clipped_or_ignored() -> None:
    half, sliver = one_face(-20, 10, 20, 50), one_face(-38, 10, 2, 50)
    clipped = clip_faces(half.join(sliver), size_wh=(100, 100), smallest_px=1.0)
    assert clipped.ignore.tolist() == [False, True]
    np.testing.assert_allclose(clipped.box_xyxy_px[0], [0, 10, 20, 50])


def test_samples_are_repeatable_and_keep_their_form() -> None:
    composer = Composer(*material(), size_px=96)
    for number in range(12):
        first = composer.draw(np.random.default_rng(number))
        again = composer.draw(np.random.default_rng(number))
        assert first.rgb.shape == (96, 96, 3)
        np.testing.assert_array_equal(first.rgb, again.rgb)
        rows = target_rows(first)
        assert np.isfinite(rows).all()
        assert (rows[:, 2] >= rows[:, 0]).all()


def test_mirror_twice_is_nothing() -> None:
    rows = torch.zeros(1, 2, ROW)
    rows[0, 0] = torch.from_numpy(
        np.concatenate([[10, 20, 40, 60], np.arange(10) + 15, [1, 1]]).astype(np.float32)
    )
    x = torch.rand(1, 3, 64, 96)
    once = mirror(x, rows)
    assert float(once[1][0, 0, 0]) == 96 - 40
    assert float(once[1][0, 0, 4]) == 96 - float(rows[0, 0, 6])  # the eyes trade places
    twice = mirror(*once)
    torch.testing.assert_close(twice[0], x)
    torch.testing.assert_close(twice[1], rows)


def test_loss_falls_when_one_picture_is_learnt() -> None:
    torch.set_num_threads(1)
    net = tiny_net()
    x = to_input(np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8))
    rows = torch.zeros(2, 4, ROW)
    rows[0, 0, :4] = torch.tensor([8.0, 8.0, 40.0, 48.0])
    rows[0, 0, 14:] = 1.0
    optimizer = torch.optim.Adam(net.parameters(), 1e-2)
    losses = []
    for _ in range(12):
        loss = detector_loss(net(x), rows).total
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_ignored_faces_cost_nothing() -> None:
    net = tiny_net().eval()
    x = torch.zeros(1, 3, 64, 64)
    rows = torch.zeros(1, 1, ROW)
    rows[0, 0, :4] = torch.tensor([0.0, 0.0, 64.0, 64.0])
    rows[0, 0, 15] = 2.0
    with torch.no_grad():
        assert float(detector_loss(net(x), rows).total) == 0.0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_export_opens_as_a_detector(tmp_path: Path) -> None:
    path = tmp_path / "d.onnx"
    net = tiny_net().eval()
    export_onnx(net, path)
    engine = OrtEngine(path.read_bytes(), path, model_name="tiny", threads=1)
    detector = FaceDetector(engine, settings=DetectorSettings(long_side_px=64))
    assert detector.detect([np.zeros((48, 64, 3), np.uint8)], threshold=0.9)[0].scores.size == 0
    x = np.zeros((2, 3, 64, 96), np.float32)
    values = engine.infer({"input": x})
    assert values["bbox_16"].shape == (2, 24, 4)
    with torch.no_grad():
        raw = net(torch.from_numpy(x))[0]
    np.testing.assert_allclose(
        values["score_8"][0, :, 0], torch.sigmoid(raw[0, 0].reshape(-1)).numpy(), atol=1e-5
    )
