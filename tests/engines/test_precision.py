"""Which form of a network a CPU runs, and what is said about it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

onnx = pytest.importorskip("onnx", reason="builds tiny models")

import engines.precision  # noqa: E402 - after the skip
from engines.errors import EngineLoadError  # noqa: E402 - after the skip
from engines.loader import load_engine  # noqa: E402 - after the skip
from engines.manifest import ModelManifest, load_manifest, sha256_of  # noqa: E402 - after the skip
from engines.precision import Arithmetic, cpu_form, has_amx, int8_arithmetic  # noqa: E402 - after the skip
from tests.engines.test_trt_engine import pooling_model  # noqa: E402 - after the skip


def _cpuinfo(folder: Path, line: str) -> Path:
    path = folder / "cpuinfo"
    path.write_text(f"processor\t: 0\n{line}\n\nprocessor\t: 1\n{line}\n", encoding="utf-8")
    return path


@pytest.fixture
def with_vnni(tmp_path: Path) -> Path:
    return _cpuinfo(tmp_path, "flags\t\t: fpu avx2 avx512_vnni")


def _published(path: Path, facts: dict[str, str]) -> ModelManifest:
    path.write_bytes(pooling_model())
    entries = {
        "name": "pool", "version": "1", "file": path.name, "sha256": sha256_of(path),
        "mean": 127.5, "std": 127.5, **facts,
    }  # fmt: skip
    path.with_suffix(".json").write_text(json.dumps(entries), encoding="utf-8")
    return load_manifest(path.with_suffix(".json"))


@pytest.fixture
def manifest(tmp_path: Path) -> ModelManifest:
    return _published(tmp_path / "pool.onnx", {})


@pytest.fixture
def form(tmp_path: Path, manifest: ModelManifest) -> ModelManifest:
    facts = {
        "precision": "int8", "made_from_sha256": manifest.sha256, "only_provider": "cpu",
        "version": "1-int8",
    }  # fmt: skip
    return _published(tmp_path / "pool-int8.onnx", facts)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("flags\t\t: fpu avx2 avx512_vnni", "exact"),
        ("flags\t\t: fpu avx2 avx_vnni", "exact"),
        ("flags\t\t: fpu avx2 avx512f", "overflows"),
        ("Features\t: fp asimd asimddp", "unknown"),
    ],
)
def test_the_processor_says_how_it_multiplies_bytes(
    tmp_path: Path, line: str, wanted: Arithmetic
) -> None:
    assert int8_arithmetic(_cpuinfo(tmp_path, line)) == wanted


def test_a_system_that_says_nothing_is_unknown(tmp_path: Path) -> None:
    assert int8_arithmetic(tmp_path / "missing") == "unknown"


def test_auto_takes_the_form_where_the_processor_has_vnni(
    manifest: ModelManifest, form: ModelManifest, with_vnni: Path
) -> None:
    taken, why = cpu_form(manifest, "auto", cpuinfo=with_vnni)
    assert (taken.path, why) == (form.path, "INT8: this processor has VNNI")
    assert cpu_form(manifest, "fp32", cpuinfo=with_vnni) == (manifest, "")
    # The user's own INT8 graph has no other form.
    assert cpu_form(form, "auto", cpuinfo=with_vnni) == (form, "")


def test_without_a_form_auto_takes_float32_and_int8_is_an_error(
    manifest: ModelManifest, with_vnni: Path
) -> None:
    taken, why = cpu_form(manifest, "auto", cpuinfo=with_vnni)
    assert taken is manifest
    assert why.startswith("float32: there is no INT8 form; make it with run_stream.py export")
    with pytest.raises(EngineLoadError, match="no INT8 form"):
        cpu_form(manifest, "int8", cpuinfo=with_vnni)


def test_a_form_of_other_weights_is_not_used(
    manifest: ModelManifest, form: ModelManifest, with_vnni: Path
) -> None:
    assert form.extra["made_from_sha256"] == manifest.sha256
    newer = dataclasses.replace(manifest, sha256="0" * 64)
    taken, why = cpu_form(newer, "auto", cpuinfo=with_vnni)
    assert taken is newer
    assert "made from other weights" in why
    with pytest.raises(EngineLoadError, match="other weights"):
        cpu_form(newer, "int8", cpuinfo=with_vnni)


@pytest.mark.usefixtures("form")
def test_a_processor_whose_sums_overflow_computes_in_float32(
    manifest: ModelManifest, tmp_path: Path
) -> None:
    cpuinfo = _cpuinfo(tmp_path, "flags\t\t: fpu avx2")
    taken, why = cpu_form(manifest, "auto", cpuinfo=cpuinfo)
    assert taken is manifest
    assert "no VNNI" in why
    with pytest.raises(EngineLoadError, match="use precision: fp32"):
        cpu_form(manifest, "int8", cpuinfo=cpuinfo)


def test_an_unknown_processor_takes_int8_only_when_asked(
    manifest: ModelManifest, form: ModelManifest, tmp_path: Path
) -> None:
    cpuinfo = tmp_path / "missing"
    taken, why = cpu_form(manifest, "auto", cpuinfo=cpuinfo)
    assert taken is manifest
    assert "not known" in why
    assert cpu_form(manifest, "int8", cpuinfo=cpuinfo)[0].path == form.path


@pytest.mark.usefixtures("form")
def test_the_engine_says_which_form_runs_and_why(
    manifest: ModelManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines.precision, "int8_arithmetic", lambda _: "exact")
    with pytest.raises(EngineLoadError, match="choice for the CPU"):
        load_engine(manifest, provider="cuda", precision="int8")
    engine = load_engine(manifest, provider="cpu", precision="auto")
    info = engine.describe()
    assert (info.model, info.precision) == ("pool 1-int8", "int8")
    assert info.reason == "asked for; INT8: this processor has VNNI"
    x = np.ones((1, 3, 64, 64), np.float32)
    np.testing.assert_allclose(engine.infer({"x": x})["mean"], 1)
    engine.close()


def test_a_damaged_form_is_a_load_error(
    manifest: ModelManifest, form: ModelManifest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines.precision, "int8_arithmetic", lambda _: "exact")
    form.path.write_bytes(form.path.read_bytes() + b"x")
    with pytest.raises(EngineLoadError, match="SHA-256"):
        load_engine(manifest, provider="cpu", precision="auto")


def test_a_graph_quantised_for_the_cpu_is_refused_elsewhere(form: ModelManifest) -> None:
    with pytest.raises(EngineLoadError, match="quantised for cpu, not for cuda"):
        load_engine(form, provider="cuda")


def test_amx_is_known_by_its_flag(tmp_path: Path, with_vnni: Path) -> None:
    assert not has_amx(with_vnni)
    assert not has_amx(tmp_path / "none")
    assert has_amx(_cpuinfo(tmp_path, "flags\t\t: fpu avx2 amx_bf16 amx_tile amx_int8"))
