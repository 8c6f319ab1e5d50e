from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from engines.errors import EngineLoadError, EngineRunError
from engines.loader import load_engine
from engines.manifest import ModelManifest, load_manifest, verified_model_bytes

onnx = pytest.importorskip("onnx", reason="builds a tiny model")


def _write_model(folder: Path, **changes: Any) -> Path:  # noqa: ANN401 - any manifest value
    """A model that doubles its input, with its manifest."""
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "double",
        [helper.make_tensor_value_info("x", kind, ["n", 3])],
        [helper.make_tensor_value_info("y", kind, ["n", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    data = model.SerializeToString()
    (folder / "m.onnx").write_bytes(data)
    manifest = {
        "name": "double", "version": "1", "file": "m.onnx", "mean": 0, "std": 1,
        "sha256": hashlib.sha256(data).hexdigest(), "input_size_hw": None, **changes,
    }  # fmt: skip
    (folder / "m.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder / "m.json"


@pytest.fixture
def manifest(tmp_path: Path) -> ModelManifest:
    return load_manifest(_write_model(tmp_path))


def test_runs_any_batch(manifest: ModelManifest) -> None:
    engine = load_engine(manifest, provider="cpu", threads=1)
    engine.warm_up()
    for count in (1, 4):
        x = np.arange(3 * count, dtype=np.float32).reshape(count, 3)
        np.testing.assert_array_equal(engine.infer({"x": x})["y"], 2 * x)
    assert engine.inputs[0].shape == (None, 3)
    assert [spec.name for spec in engine.outputs] == ["y"]
    engine.close()
    with pytest.raises(EngineRunError):
        engine.infer({"x": x})


@pytest.mark.parametrize(
    "feeds",
    [
        {},
        {"z": np.zeros((1, 3), np.float32)},
        {"x": np.zeros((1, 4), np.float32)},
        {"x": np.zeros((1, 3), np.float64)},
        {"x": np.zeros(3, np.float32)},
    ],
)
def test_wrong_feeds_are_refused(manifest: ModelManifest, feeds: dict[str, Any]) -> None:
    engine = load_engine(manifest, provider="cpu")
    with pytest.raises(EngineRunError, match="double 1"):
        engine.infer(feeds)


def test_auto_says_what_it_chose_and_why(manifest: ModelManifest) -> None:
    info = load_engine(manifest, provider="auto").describe()
    assert info.backend == "onnxruntime"
    assert info.reason.startswith("auto: ")


@pytest.mark.parametrize("provider", ["cuda", "tensorrt"])
def test_an_impossible_provider_is_one_clear_error(manifest: ModelManifest, provider: Any) -> None:  # noqa: ANN401 - the literal's values
    with pytest.raises(EngineLoadError) as caught:
        load_engine(manifest, provider=provider)
    assert "\n" not in str(caught.value)


def test_a_changed_file_is_not_loaded(manifest: ModelManifest) -> None:
    manifest.path.write_bytes(manifest.path.read_bytes() + b"\0")
    with pytest.raises(EngineLoadError, match="SHA-256"):
        load_engine(manifest, provider="cpu")


def test_a_missing_file_is_named(manifest: ModelManifest) -> None:
    manifest.path.unlink()
    with pytest.raises(EngineLoadError, match=r"m\.onnx"):
        verified_model_bytes(manifest)


def test_rubbish_is_a_load_error(tmp_path: Path) -> None:
    path = _write_model(tmp_path, sha256="")
    (tmp_path / "m.onnx").write_bytes(b"not a model")
    with pytest.raises(EngineLoadError, match="cannot load model"):
        load_engine(load_manifest(path), provider="cpu")


def test_an_incomplete_manifest_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text('{"name": "x"}', encoding="utf-8")
    with pytest.raises(EngineLoadError, match="incomplete"):
        load_manifest(path)
    with pytest.raises(EngineLoadError, match="cannot be read"):
        load_manifest(tmp_path / "nowhere.json")


class _Session:
    """What ONNX Runtime gives when a provider starts, or silently does not."""

    starts = True
    asked: ClassVar[list[list[str]]] = []

    def __init__(self, model: bytes, options: object, *, providers: list[str]) -> None:
        self.asked.append(providers)
        self._providers = providers if self.starts else ["CPUExecutionProvider"]

    def get_providers(self) -> list[str]:
        return self._providers

    def get_inputs(self) -> list[object]:
        return []

    get_outputs = get_inputs


@pytest.fixture
def cuda_build(monkeypatch: pytest.MonkeyPatch) -> type[_Session]:
    """A build of ONNX Runtime with CUDA; no GPU was there when this was written."""
    providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
    monkeypatch.setattr("engines.ort_engine.ort.get_available_providers", lambda: providers)
    monkeypatch.setattr("engines.ort_engine.ort.InferenceSession", _Session)
    monkeypatch.setattr(_Session, "starts", True)
    monkeypatch.setattr(_Session, "asked", [])
    return _Session


def test_cuda_is_taken_where_it_starts(manifest: ModelManifest, cuda_build: type[_Session]) -> None:
    engine = load_engine(manifest, provider="auto")
    info = engine.describe()
    assert (info.backend, info.provider) == ("onnxruntime", "cuda")
    assert "no tensorrt" in info.reason
    # CUDA alone: a list with the CPU behind it would fall back without a word.
    assert cuda_build.asked == [["CUDAExecutionProvider"]]


def test_cuda_that_falls_back_in_silence_is_an_error(
    manifest: ModelManifest, cuda_build: type[_Session], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_build, "starts", False)
    with pytest.raises(EngineLoadError, match="CUDAExecutionProvider cannot start here"):
        load_engine(manifest, provider="cuda")
    info = load_engine(manifest, provider="auto").describe()
    assert info.provider == "cpu"
    assert "no cuda: CUDAExecutionProvider cannot start here" in info.reason
