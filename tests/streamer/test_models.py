"""Models of the user's own: which pairs and shapes are taken."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="builds tiny models")

import engines.precision  # noqa: E402 - after the skip
from engines.errors import ConfigError, EngineLoadError  # noqa: E402 - after the skip
from engines.manifest import WEIGHTS_FOLDER, sha256_of  # noqa: E402 - after the skip
from streamer.config import AppConfig  # noqa: E402 - after the skip
from streamer.models import load_models, manifests, people_weight  # noqa: E402 - after the skip
from tests.engines.test_detector import white_cell_model  # noqa: E402 - after the skip

CROP_PX, DIM = 32, 512

pytestmark = pytest.mark.skipif(
    not (WEIGHTS_FOLDER / "encoder.json").exists(), reason="weights not built"
)


def _save(path: Path, graph: Any) -> Path:  # noqa: ANN401 - onnx protos are untyped
    model = onnx.helper.make_model(
        graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=8
    )
    path.write_bytes(model.SerializeToString())
    return path


def arcface(path: Path, *, dim: int = DIM, size: int = 112, batch: int | str = "None") -> Path:
    """Names and shapes of the public ArcFace files; the values are means of the picture."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    weights = np.random.default_rng(0).normal(size=(3, dim)).astype(np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("GlobalAveragePool", ["input.1"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["flat"]),
            helper.make_node("MatMul", ["flat", "w"], ["683"]),
        ],
        "arcface",
        [helper.make_tensor_value_info("input.1", kind, [batch, 3, size, size])],
        [helper.make_tensor_value_info("683", kind, [batch, dim])],
        [onnx.numpy_helper.from_array(weights, "w")],
    )
    return _save(path, graph)


def generator(folder: Path, facts: Mapping[str, Any]) -> Path:
    """A generator that gives back the crop, and its manifest."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    shape = ["N", 3, CROP_PX, CROP_PX]
    graph = helper.make_graph(
        [
            helper.make_node("Tanh", ["crop"], ["face"]),
            helper.make_node("ReduceMean", ["crop"], ["mean"], axes=[1], keepdims=1),
            helper.make_node("Sigmoid", ["mean"], ["alpha"]),
            helper.make_node("Identity", ["identity"], ["unused"]),
        ],
        "generator",
        [
            helper.make_tensor_value_info("crop", kind, shape),
            helper.make_tensor_value_info("identity", kind, ["N", DIM]),
        ],
        [
            helper.make_tensor_value_info("face", kind, shape),
            helper.make_tensor_value_info("alpha", kind, ["N", 1, CROP_PX, CROP_PX]),
            helper.make_tensor_value_info("unused", kind, ["N", DIM]),
        ],
    )
    path = _save(folder / "own.onnx", graph)
    raw = {
        "name": "generator", "version": "own", "file": path.name, "sha256": sha256_of(path),
        "mean": 127.5, "std": 127.5, "input_size_hw": [CROP_PX, CROP_PX], **facts,
    }  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(raw), encoding="utf-8")
    return path.with_suffix(".json")


def _config(**sections: Mapping[str, Any]) -> AppConfig:
    return AppConfig.model_validate({"engine": {"provider": "cpu"}, **sections})


def test_a_swapped_encoder_is_refused_with_our_generator(tmp_path: Path) -> None:
    encoder = arcface(tmp_path / "w600k.onnx")
    with pytest.raises(ConfigError, match=r"was not trained with w600k\.onnx") as caught:
        manifests(_config(identity={"encoder": encoder}))
    assert "identity.generator" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_swapped_encoder_needs_the_generator_that_names_it(tmp_path: Path) -> None:
    encoder = arcface(tmp_path / "w600k.onnx")
    other = generator(tmp_path, {"encoder_sha256": "00" * 32})
    with pytest.raises(ConfigError, match="was not trained with"):
        manifests(_config(identity={"encoder": encoder, "generator": other}))
    own = generator(tmp_path, {"encoder_sha256": sha256_of(encoder)})
    _, found, made = manifests(_config(identity={"encoder": encoder, "generator": own}))
    assert (found.path, made.version) == (encoder, "own")


def test_our_encoder_is_refused_with_a_generator_of_another(tmp_path: Path) -> None:
    own = generator(tmp_path, {"encoder_sha256": "00" * 32})
    with pytest.raises(ConfigError, match=r"was not trained with encoder\.onnx"):
        manifests(_config(identity={"generator": own}))


@pytest.mark.parametrize("section", ["detector", "identity"])
def test_a_missing_file_is_named(tmp_path: Path, section: str) -> None:
    key = "model" if section == "detector" else "encoder"
    with pytest.raises(ConfigError, match=r"nowhere\.onnx does not exist"):
        manifests(_config(**{section: {key: tmp_path / "nowhere.onnx"}}))


def _own(tmp_path: Path, encoder: Path) -> AppConfig:
    detector = tmp_path / "scrfd.onnx"
    detector.write_bytes(white_cell_model())
    made = generator(tmp_path, {"encoder_sha256": sha256_of(encoder)})
    return _config(detector={"model": detector}, identity={"encoder": encoder, "generator": made})


@pytest.mark.parametrize("batch", ["None", 1])
def test_a_whole_set_of_own_models_runs(tmp_path: Path, batch: int | str) -> None:
    models = load_models(_own(tmp_path, arcface(tmp_path / "arc.onnx", batch=batch)), threads=1)
    crops = np.random.default_rng(0).integers(0, 256, (3, 112, 112, 3), np.uint8)
    embeddings = models.embedder.embed(crops)
    assert embeddings.shape == (3, DIM)
    np.testing.assert_allclose(np.linalg.norm(embeddings, axis=1), 1, rtol=1e-5)
    faces, _ = models.generator.generate(crops[:, :CROP_PX, :CROP_PX], embeddings)
    assert faces.shape == (3, CROP_PX, CROP_PX, 3)
    assert [name for name, _ in models.hashes] == ["detector", "encoder", "generator", "landmarks"]
    models.close()


def _int8_form(manifest: Path) -> None:
    """The same graph under the name of an INT8 form."""
    raw = json.loads(manifest.read_text(encoding="utf-8"))
    whole = manifest.parent / raw["file"]
    form = whole.with_name(f"{whole.stem}-int8.onnx")
    form.write_bytes(whole.read_bytes())
    raw |= {"file": form.name, "precision": "int8", "made_from_sha256": raw["sha256"]}
    form.with_suffix(".json").write_text(json.dumps(raw), encoding="utf-8")


@pytest.mark.parametrize(
    ("precision", "runs"), [("auto", "int8"), ("int8", "int8"), ("fp32", "fp32")]
)
def test_the_configuration_chooses_the_precision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, precision: str, runs: str
) -> None:
    monkeypatch.setattr(engines.precision, "int8_arithmetic", lambda _: "exact")
    config = _own(tmp_path, arcface(tmp_path / "arc.onnx"))
    assert config.identity.generator is not None
    _int8_form(config.identity.generator)
    engine = config.engine.model_copy(update={"precision": precision, "provider": "cpu"})
    models = load_models(config.model_copy(update={"engine": engine}), threads=1)
    assert [info.precision for info in models.describe()] == ["fp32", "fp32", runs, "fp32"]
    # What a recording is made with is the network, whatever form of it ran.
    assert dict(models.hashes)["generator"].hex() == sha256_of(tmp_path / "own.onnx")
    models.close()


def test_int8_by_name_needs_a_form_of_the_generator(tmp_path: Path) -> None:
    config = _own(tmp_path, arcface(tmp_path / "arc.onnx"))
    engine = config.engine.model_copy(update={"precision": "int8", "provider": "cpu"})
    with pytest.raises(EngineLoadError, match="there is no INT8 form"):
        load_models(config.model_copy(update={"engine": engine}), threads=1)


@pytest.mark.parametrize(
    ("options", "says"), [({"size": 128}, "112"), ({"dim": 256}, "one embedding of 512")]
)
def test_an_encoder_of_other_shapes_is_one_clear_error(
    tmp_path: Path, options: dict[str, int], says: str
) -> None:
    encoder = arcface(tmp_path / "arc.onnx", **options)
    with pytest.raises(EngineLoadError, match=says) as caught:
        load_models(_own(tmp_path, encoder), threads=1)
    assert "\n" not in str(caught.value)


def test_an_encoder_as_a_generator_is_one_clear_error(tmp_path: Path) -> None:
    encoder = arcface(tmp_path / "arc.onnx")
    config = _own(tmp_path, encoder)
    assert config.identity.generator is not None
    raw = json.loads(config.identity.generator.read_text())
    raw |= {"file": encoder.name, "sha256": sha256_of(encoder)}
    config.identity.generator.write_text(json.dumps(raw))
    with pytest.raises(EngineLoadError, match="generator"):
        load_models(config, threads=1)


@pytest.mark.parametrize(
    ("settings", "weight"),
    [
        ({}, 1.0),
        ({"identity": {"people_weight": 0.4}}, 0.4),
        ({"keylog": {"irreversible": True}}, 1.0),
        ({"identity": {"rotation": "reference"}}, 0.0),
        ({"keylog": {"seal": False}}, 1.0),
        ({"keylog": {"seal": False, "assisted": False}}, 0.0),
    ],
)
def test_identities_move_towards_people_unless_they_must_be_read(
    settings: dict[str, Any], weight: float
) -> None:
    assert people_weight(AppConfig.model_validate(settings)) == weight


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_the_shipped_space_moves_identities_as_configured(weight: float) -> None:
    settings = {"identity": {"people_weight": weight}}
    space = load_models(AppConfig.model_validate(settings), threads=1).space
    turned = np.random.default_rng(0).normal(size=space.dim).astype(np.float32)
    turned /= np.linalg.norm(turned)
    near = float(space.drawn(turned) @ space.embedding(turned))
    assert near == pytest.approx(1.0, abs=1e-5) if not weight else 0.5 < near < 0.95
