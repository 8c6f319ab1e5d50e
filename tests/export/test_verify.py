from __future__ import annotations

import dataclasses
import hashlib
import sys
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import streamer.sample
from engines.errors import EngineLoadError
from engines.manifest import WEIGHTS_FOLDER, ModelManifest, load_manifest, sha256_of
from engines.precision import int8_arithmetic
from engines.types import TensorSpec
from export.inputs import recorded_inputs
from export.metadata import read_metadata, write_metadata
from export.parity import compare, tolerance_for
from export.quantize import store_fp16
from export.variants import write_variant_with_manifest
from export.verify import RUNS, verify_model


def embedding_model(path: Path) -> ModelManifest:
    """A convolution, a mean and a matrix, stored as float16 like what is shipped."""
    rng = np.random.default_rng(0)
    tensors = [
        numpy_helper.from_array((rng.normal(size=(16, 3, 3, 3)) * 0.3).astype(np.float32), "w"),
        numpy_helper.from_array(rng.normal(size=(16, 32)).astype(np.float32), "m"),
    ]
    graph = helper.make_graph(
        [
            helper.make_node("Conv", ["input", "w"], ["a"], name="conv"),
            helper.make_node("Relu", ["a"], ["b"], name="relu"),
            helper.make_node("GlobalAveragePool", ["b"], ["c"], name="pool"),
            helper.make_node("Flatten", ["c"], ["d"], name="flat"),
            helper.make_node("MatMul", ["d", "m"], ["embedding"], name="matrix"),
        ],
        "net",
        [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["N", 3, 16, 16])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["N", 32])],
        tensors,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, str(path))
    store_fp16(path, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ModelManifest("tiny", "1", path, digest, 127.5, 127.5)


@pytest.fixture
def manifest(tmp_path: Path) -> ModelManifest:
    return embedding_model(tmp_path / "tiny.onnx")


@pytest.fixture
def pictures() -> list[np.ndarray]:
    return list(np.random.default_rng(1).integers(0, 256, (2, 40, 50, 3), np.uint8))


def test_every_way_is_listed_and_what_ships_counts(
    manifest: ModelManifest, pictures: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "training.rebuild", None)  # as where torch is missing
    rows = {row.run: row for row in verify_model(manifest, pictures)}
    assert list(rows) == list(RUNS)
    assert "one part" in rows["parts"].note
    assert all(row.is_good for row in rows.values())
    same = rows["unoptimised"]
    assert same.difference is not None
    assert same.difference.cosine is not None
    assert same.difference.cosine > 0.99999
    assert "needs PyTorch" in rows["pytorch"].note
    assert not rows["int8"].counts
    if int8_arithmetic() == "overflows":
        assert "no VNNI" in rows["int8"].note
    else:
        assert rows["int8"].difference is not None
        assert rows["int8"].difference.max_error > same.difference.max_error
    assert rows["fp16"].difference or "float32 here" in rows["fp16"].note


def test_a_variant_counts_when_it_is_asked_for(
    manifest: ModelManifest, pictures: list[np.ndarray]
) -> None:
    (row,) = verify_model(manifest, pictures, runs=["int8"])
    assert row.counts
    assert row.as_json()["ok"] is True


def test_a_damaged_model_is_a_load_error(
    manifest: ModelManifest, pictures: list[np.ndarray]
) -> None:
    manifest.path.write_bytes(manifest.path.read_bytes()[:-9] + b"123456789")
    with pytest.raises(EngineLoadError, match="SHA-256"):
        verify_model(manifest, pictures)


def test_a_shipped_int8_form_is_what_is_verified_and_counts(
    manifest: ModelManifest, pictures: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.verify.int8_arithmetic", lambda: "exact")
    feeds = recorded_inputs(manifest, [TensorSpec("input", (1, 3, 16, 16), "float32")], pictures)
    form = load_manifest(write_variant_with_manifest(manifest, manifest.path.parent, "int8", feeds))
    rows = {row.run: row for row in verify_model(manifest, pictures)}
    assert rows["int8"].counts
    assert rows["int8"].is_good
    assert not rows["int8-tensorrt"].counts
    # Its scores are turned round: now the row must fail.
    model = onnx.load(str(form.path))
    last = next(node for node in model.graph.node if "embedding" in node.output)
    last.output[0] = "turned"
    model.graph.node.append(helper.make_node("Neg", ["turned"], ["embedding"]))
    onnx.save(model, str(form.path))
    rows = {row.run: row for row in verify_model(manifest, pictures)}
    assert not rows["int8"].is_good


def test_int8_is_not_run_where_its_sums_overflow(
    manifest: ModelManifest, pictures: list[np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("export.verify.int8_arithmetic", lambda: "overflows")
    (row,) = verify_model(manifest, pictures, runs=["int8"])
    assert "no VNNI" in row.note


@pytest.mark.skipif(int8_arithmetic() == "overflows", reason="this processor's sums overflow")
def test_the_generator_that_ships_is_close_in_int8() -> None:
    """The recipe fits its graph, and leaves in float what needs it."""
    portraits = sorted((Path(streamer.sample.__file__).parent).glob("*.jpg"))[:3]
    pictures = []
    for path in portraits:
        picture = cv2.imread(str(path))
        assert picture is not None
        pictures.append(np.asarray(picture[..., ::-1], np.uint8))
    generator = load_manifest(WEIGHTS_FOLDER / "generator.json")
    (row,) = verify_model(generator, pictures, runs=["int8"])
    assert row.difference is not None
    assert row.difference.psnr_db is not None
    assert row.difference.psnr_db > tolerance_for("int8").min_psnr_db
    assert row.is_good


@pytest.mark.parametrize("variant", ["fp16", "int8", "int8-tensorrt"])
def test_a_variant_has_a_manifest(
    manifest: ModelManifest,
    tmp_path: Path,
    variant: str,
) -> None:
    write_metadata(manifest.path, name="tiny", version="1", licence="MIT", commit="abc")
    manifest = dataclasses.replace(manifest, sha256=sha256_of(manifest.path))
    feeds = [{"input": np.ones((1, 3, 16, 16), np.float32)}]
    written = write_variant_with_manifest(manifest, tmp_path / "out", variant, feeds)  # type: ignore[arg-type]  # from the list above
    found = load_manifest(written)
    assert found.extra["precision"] == variant.split("-")[0]
    assert found.extra.get("only_provider") == ("cpu" if variant == "int8" else None)
    assert found.extra["made_from_sha256"] == manifest.sha256
    inside = read_metadata(found.path)
    assert (inside["name"], inside["version"]) == ("tiny", f"1-{variant}")
    assert inside["training_commit"] == "abc"
    assert found.version == f"1-{variant}"
    assert found.sha256 == hashlib.sha256(found.path.read_bytes()).hexdigest()


def test_differences_are_judged_by_what_the_outputs_are() -> None:
    unit = np.eye(2, 4, dtype=np.float32)
    turned = np.roll(unit, 1, axis=1)
    assert compare([{"embedding": unit}], [{"embedding": unit}]).cosine == 1
    worse = compare([{"embedding": unit}], [{"embedding": turned}])
    assert worse.beyond(tolerance_for("int8")) == ["cosine 0.00000 < 0.97"]
    face = np.zeros((1, 3, 4, 4), np.float32)
    near = compare([{"face": face}], [{"face": face + np.float32(0.002)}])
    assert near.psnr_db == pytest.approx(60, abs=0.1)
    assert compare([{"face": face}], [{"face": face}]).psnr_db == 150
    assert compare([{"face": face}], [{"face": face + np.nan}]).beyond(tolerance_for("int8"))


def test_boxes_count_where_there_is_a_face() -> None:
    score = np.array([[[0.9], [0.1]]], np.float32)
    box = np.zeros((1, 2, 4), np.float32)
    moved = box.copy()
    moved[0, 1] = 9
    one, other = {"score_8": score, "bbox_8": box}, {"score_8": score, "bbox_8": moved}
    assert compare([one], [other]).max_error == 0
    moved[0, 0] = 1
    assert compare([one], [other]).beyond(tolerance_for("int8"))


def test_other_outputs_are_refused() -> None:
    with pytest.raises(ValueError, match="instead of"):
        compare([{"a": np.zeros(2)}], [{"b": np.zeros(2)}])
    with pytest.raises(ValueError, match="a is"):
        compare([{"a": np.zeros(2)}], [{"a": np.zeros(3)}])


def test_metadata_can_be_read_back_and_written_again(manifest: ModelManifest) -> None:
    for version in ("1", "2"):
        write_metadata(
            manifest.path, name="tiny", version=version, licence="Apache-2.0", facts={"px": 16}
        )
    found = read_metadata(manifest.path)
    assert (found["name"], found["version"], found["px"]) == ("tiny", "2", "16")
    assert found["inputs"] == '{"input": ["N", 3, 16, 16]}'
    assert found["training_commit"]
