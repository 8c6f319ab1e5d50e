from __future__ import annotations

import csv
import json
from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from engines.detector import DetectorSettings  # noqa: E402 - after the skip
from engines.landmarks import LandmarkRefiner  # noqa: E402 - after the skip
from engines.manifest import load_manifest, verified_model_bytes  # noqa: E402 - after the skip
from engines.ort_engine import OrtEngine  # noqa: E402 - after the skip
from training import detector_landmarks  # noqa: E402 - after the skip
from training.data_scenes import CropSet  # noqa: E402 - after the skip
from training.detector_publish import main  # noqa: E402 - after the skip
from training.landmark_draws import (  # noqa: E402 - after the skip
    GreyCrops,
    Picture,
    draw_pictures,
    first_looks,
    second_looks,
)
from training.landmark_net import LandmarkNet, export_landmarks  # noqa: E402 - after the skip

POINTS = np.array([[[60, 70], [100, 70], [80, 95], [65, 115], [95, 115]]], np.float32)
BOX = np.array([[45, 40, 115, 130]], np.float32)


def grey_crops() -> GreyCrops:
    """One crop whose landmarks are bright single blocks, left ones brighter than right ones."""
    luma = np.full((1, 160, 160), 40, np.uint8)
    for x, y in POINTS[0].astype(int):
        luma[0, y - 3 : y + 4, x - 3 : x + 4] = 250 if x < 80 else 160
    return GreyCrops(luma, BOX, POINTS)


def drawn(count: int, *, tilt_deg: float = 60.0) -> list[Picture]:
    crops = grey_crops()
    rng = np.random.default_rng(0)
    return draw_pictures(crops, crops.shares(), count, rng, tilt_deg=tilt_deg)


def test_drawn_points_lie_on_the_spots_they_name() -> None:
    look = first_looks(drawn(60))
    assert look.grey.shape == (60, 64, 64)
    hits = 0
    for crop, points in zip(look.grey, look.wanted, strict=True):
        x, y = np.clip(((points[0] + 1) * 32).round().astype(int), 0, 63)
        hits += bool(crop[y, x] > np.median(crop))
    assert hits > 45  # some are covered, and some too dark to tell


def test_found_points_go_back_to_the_pictures() -> None:
    pictures = drawn(20)
    look = first_looks(pictures)
    points = look.in_pictures(look.wanted.reshape(-1, 10))
    np.testing.assert_allclose(points, [picture.points for picture in pictures], atol=1e-3)


def test_second_looks_show_heads_upright_and_centred() -> None:
    pictures = drawn(20)
    eyes = first_looks(pictures).wanted[:, 1] - first_looks(pictures).wanted[:, 0]
    assert np.abs(np.arctan2(eyes[:, 1], eyes[:, 0])).max() > 0.5
    look = second_looks(pictures, np.stack([picture.points for picture in pictures]))
    eyes = look.wanted[:, 1] - look.wanted[:, 0]
    assert np.abs(np.arctan2(eyes[:, 1], eyes[:, 0])).max() < 0.02
    assert np.abs(look.wanted.mean(1)).max() < 0.02


def test_turned_heads_are_drawn_twice_as_often() -> None:
    turned = POINTS.copy()
    turned[0, 2, 0] += 12
    crops = GreyCrops(
        np.zeros((2, 160, 160), np.uint8), np.repeat(BOX, 2, 0), np.concatenate([POINTS, turned])
    )
    np.testing.assert_allclose(crops.shares(), [1 / 3, 2 / 3])


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_training_goes_on_from_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = np.repeat(grey_crops().luma[0][..., None], 3, 2)
    encoded = cv2.imencode(".png", picture)[1].tobytes()
    quad = np.zeros((1, 4, 2), np.float32)
    crops = CropSet([encoded], BOX, POINTS, quad, np.ones(1, np.float32), [{"file": "a"}])
    monkeypatch.setattr(detector_landmarks, "_load", lambda options, split: crops)
    common = ["--out", str(tmp_path), "--batch", "8", "--save-every", "2", "--threads", "1"]
    detector_landmarks.main([*common, "--steps", "2"])
    detector_landmarks.main([*common, "--steps", "4"])
    with (tmp_path / "curves.csv").open(newline="") as stream:
        assert [row["step"] for row in csv.DictReader(stream)] == ["0", "2", "4"]
    assert json.loads((tmp_path / "checkpoint.json").read_text())["step"] == 4
    assert (tmp_path / "landmarks.onnx").stat().st_size > 0


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_published_weights_load_by_their_manifest(tmp_path: Path) -> None:
    model = tmp_path / "run.onnx"
    export_landmarks(LandmarkNet(), model)
    arguments = ["--landmarks", str(model), "--detector", str(model), "--folder", str(tmp_path)]
    main([*arguments, "--version", "7", "--start", "0.4", "--keep", "0.2"])
    manifest = load_manifest(tmp_path / "landmarks.json")
    assert manifest.version == "7"
    data = verified_model_bytes(manifest)
    LandmarkRefiner(OrtEngine(data, manifest.path, model_name="landmarks 7", threads=1))
    settings = DetectorSettings.from_manifest(load_manifest(tmp_path / "detector.json"))
    assert (settings.score_threshold, settings.keep_threshold) == (0.4, 0.2)
    assert settings.two_looks
    assert json.loads((tmp_path / "detector.json").read_text())["licence"] == "Apache-2.0"
