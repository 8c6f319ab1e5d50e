"""`export` and `bench` as a user runs them, with tiny models in place of those that ship."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

pytest.importorskip("onnx", reason="builds tiny models")

import streamer.cli.bench
import streamer.cli.export
from engines.manifest import WEIGHTS_FOLDER, load_manifest, sha256_of
from engines.model_names import MODEL_NAMES
from export.verify import RUNS
from run_stream import main
from tests.engines.test_trt_engine import pooling_model


@pytest.fixture(autouse=True)
def weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in MODEL_NAMES:
        path = tmp_path / f"{name}.onnx"
        path.write_bytes(pooling_model(("N", 3, 64, 64)))
        facts = {
            "name": name, "version": "0", "file": path.name, "sha256": sha256_of(path),
            "mean": 127.5, "std": 127.5, "input_size_hw": None, "licence": "Apache-2.0",
        }  # fmt: skip
        path.with_suffix(".json").write_text(json.dumps(facts), encoding="utf-8")
    for module in (streamer.cli.bench, streamer.cli.export):
        monkeypatch.setattr(module, "WEIGHTS_FOLDER", tmp_path)
    monkeypatch.setitem(sys.modules, "training.rebuild", None)  # importing torch takes seconds
    return tmp_path


def test_verify_prints_a_line_for_every_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "verify", "--model", "encoder"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[3] for line in lines] == list(RUNS)
    assert lines[0].startswith("ok   encoder 0")
    assert all(" not run: " in line for line in lines if line.startswith("----"))


def test_verify_fails_beyond_tolerance(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from export import verify

    monkeypatch.setattr(
        verify, "_unoptimised", lambda _, feeds: [{"map": f["x"], "mean": f["x"]} for f in feeds]
    )
    arguments = ["export", "verify", "--run", "unoptimised", "--model", "encoder"]
    assert main(arguments) == 4
    assert capsys.readouterr().out.startswith("FAIL encoder 0")
    assert main([*arguments, "--json"]) == 4
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] is False
    assert report["rows"][0]["beyond"]


def test_an_unknown_way_is_one_clear_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "verify", "--run", "abacus"]) == 2
    error = capsys.readouterr().err
    assert "abacus" in error
    assert len(error.splitlines()) == 1


def test_convert_writes_a_model_and_its_manifest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "made"
    assert main(["export", "convert", "fp16", "--out", str(out), "--model", "encoder"]) == 0
    assert "encoder-fp16.json" in capsys.readouterr().out
    facts = json.loads((out / "encoder-fp16.json").read_text())
    assert (facts["precision"], facts["licence"]) == ("fp16", "Apache-2.0")


def test_bench_prints_a_table_and_writes_both_files(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["bench", "--provider", "cpu", "--provider", "tensorrt", "--batch", "2"]
    arguments += ["--threads", "1", "--seconds", "0.001", "--out", str(tmp_path / "bench")]
    assert main(arguments) == 0
    table = capsys.readouterr().out
    assert table == (tmp_path / "bench" / "bench.md").read_text()
    assert table.count("| encoder 0 |") == 2
    report = json.loads((tmp_path / "bench" / "bench.json").read_text())
    assert len(report["figures"]) == 10
    assert report["machine"]["cores"] >= 1


def test_bench_refuses_numbers_without_sense(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--batch", "0"]) == 2
    assert "above 0" in capsys.readouterr().err


def test_parts_of_what_is_no_generator_are_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["export", "parts", "--out", str(tmp_path / "parts")]) == 4
    assert "takes crop and identity" in capsys.readouterr().err
    assert not (tmp_path / "parts").exists()


def test_parts_writes_both_halves_of_the_generator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(streamer.cli.export, "WEIGHTS_FOLDER", WEIGHTS_FOLDER)
    assert main(["export", "parts", "--out", str(tmp_path), "--json"]) == 0
    written = json.loads(capsys.readouterr().out)["written"]
    assert [Path(path).name for path in written] == [
        "generator-attributes.onnx",
        "generator-synthesis.onnx",
    ]
    whole = load_manifest(WEIGHTS_FOLDER / "generator.json")
    for path in map(Path, written):
        facts = load_manifest(path.with_suffix(".json"))
        assert facts.sha256 == sha256_of(path)
        assert facts.extra["made_from_sha256"] == whole.sha256
        assert facts.extra["licence"] == whole.extra["licence"]


def test_a_recipe_that_does_not_fit_is_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", "convert", "int8", "--model", "generator", "--out", str(tmp_path / "o")]
    assert main(arguments) == 4
    error = capsys.readouterr().err
    assert "/to_rgb" in error
    assert len(error.splitlines()) == 1


def test_a_folder_without_pictures_calibrates_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["export", "convert", "int8", "--model", "encoder", "--out", str(tmp_path / "out")]
    assert main([*arguments, "--calibrate", str(tmp_path)]) == 2
    assert "holds no pictures" in capsys.readouterr().err
