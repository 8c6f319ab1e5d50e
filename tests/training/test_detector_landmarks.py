from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="training needs the train extra")

from engines.detector import DetectorSettings  # noqa: E402 - after the skip
from engines.landmarks import LandmarkRefiner  # noqa: E402 - after the skip
from engines.manifest import load_manifest, verified_model_bytes  # noqa: E402 - after the skip
from engines.ort_engine import OrtEngine  # noqa: E402 - after the skip
from training.detector_landmarks import (  # noqa: E402 - after the skip
    GreyCrops,
    LandmarkNet,
    draw_crops,
    export_landmarks,
)
from training.detector_publish import main  # noqa: E402 - after the skip


def grey_crops() -> GreyCrops:
    """One crop whose landmarks are bright single blocks, left ones brighter than right ones."""
    luma = np.full((1, 160, 160), 40, np.uint8)
    points = np.array([[[60, 70], [100, 70], [80, 95], [65, 115], [95, 115]]], np.float32)
    for x, y in points[0].astype(int):
        luma[0, y - 3 : y + 4, x - 3 : x + 4] = 250 if x < 80 else 160
    return GreyCrops(luma, np.array([[45, 40, 115, 130]], np.float32), points)


def test_drawn_points_lie_on_the_spots_they_name() -> None:
    grey, wanted = draw_crops(grey_crops(), 60, np.random.default_rng(0))
    assert grey.shape == (60, 64, 64)
    hits = 0
    for crop, points in zip(grey, wanted, strict=True):
        x, y = np.clip(((points[0] + 1) * 32).round().astype(int), 0, 63)
        hits += bool(crop[y, x] > np.median(crop))
    assert hits > 45  # some are covered, and some too dark to tell


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
