"""Which reader reads the faces of which generator."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("onnx", reason="builds tiny models")

from engines.errors import EngineLoadError
from engines.manifest import WEIGHTS_FOLDER, load_manifest, sha256_of
from streamer.config import AppConfig
from streamer.reader import open_reader
from tests.streamer.test_models import arcface, generator

DRAWN_BY = bytes(range(32))


def _beside(tmp_path: Path, *, size_px: int = 112) -> AppConfig:
    """A generator of the user's own with a reader beside it."""
    path = arcface(tmp_path / "reader.onnx", size=size_px)
    facts = {
        "name": "reader", "version": "1", "file": path.name, "sha256": sha256_of(path),
        "mean": 127.5, "std": 127.5, "generator_sha256": DRAWN_BY.hex(),
    }  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(facts), encoding="utf-8")
    own = {"engine": {"provider": "cpu"}, "identity": {"generator": generator(tmp_path, {})}}
    return AppConfig.model_validate(own)


def test_the_reader_of_the_recordings_generator_is_taken(tmp_path: Path) -> None:
    reader = open_reader(_beside(tmp_path), drawn_by=DRAWN_BY)
    assert reader is not None
    crops = np.random.default_rng(0).integers(0, 256, (2, 112, 112, 3), np.uint8)
    np.testing.assert_allclose(np.linalg.norm(reader.embedder.embed(crops), axis=1), 1, rtol=1e-5)
    reader.close()


@pytest.mark.parametrize("drawn_by", [None, bytes(32)])
def test_the_faces_of_another_generator_have_no_reader(
    tmp_path: Path, drawn_by: bytes | None
) -> None:
    assert open_reader(_beside(tmp_path), drawn_by=drawn_by) is None


def test_a_generator_may_come_without_a_reader(tmp_path: Path) -> None:
    config = AppConfig.model_validate({"identity": {"generator": generator(tmp_path, {})}})
    assert open_reader(config, drawn_by=DRAWN_BY) is None


def test_a_reader_that_takes_no_crops_is_named(tmp_path: Path) -> None:
    with pytest.raises(EngineLoadError, match="an embedder takes"):
        open_reader(_beside(tmp_path, size_px=96), drawn_by=DRAWN_BY)


def test_a_changed_reader_is_refused(tmp_path: Path) -> None:
    config = _beside(tmp_path)
    with (tmp_path / "reader.onnx").open("ab") as file:
        file.write(b"x")
    with pytest.raises(EngineLoadError, match="SHA-256"):
        open_reader(config, drawn_by=DRAWN_BY)


def test_the_generator_that_ships_has_its_reader() -> None:
    path = WEIGHTS_FOLDER / "generator.json"
    if not path.exists():
        pytest.skip("weights not built")
    drawn_by = bytes.fromhex(load_manifest(path).sha256)
    reader = open_reader(AppConfig(), drawn_by=drawn_by)
    assert reader is not None
    reader.close()
