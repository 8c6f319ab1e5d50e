"""Which package may import what, read from the imports of every file."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("engines", "export", "streamer", "training")

# Module -> the only files that may import it.
ALLOWED = {
    "av": ("streamer/source*.py", "streamer/sink*.py", "streamer/live_source*.py"),
    "onnxruntime": ("engines/ort_engine.py", "export/*.py", "training/*.py"),
    "tensorrt": ("engines/trt*.py", "export/trt*.py"),
    "openvino": ("engines/openvino*.py",),
    "cuda": ("engines/trt_cuda.py",),
    "torch": ("training/*.py", "export/*.py"),
    "cryptography": (
        "streamer/keys.py",
        "streamer/key_log*.py",
        "streamer/recipient*.py",
        "streamer/capsule*.py",
        "streamer/audit*.py",
    ),
    "filterpy": ("streamer/motion.py",),
    "streamer": ("streamer/*.py", "streamer/*/*.py", "run_stream.py"),
    "training": ("training/*.py",),
    "export": ("export/*.py", "training/*.py", "streamer/cli/export.py", "run_stream.py"),
}
# The path of anonymised video has no way in for other frames.
NEVER = {
    "streamer/sink.py": ("streamer.restorer", "streamer.recover"),
    "streamer/file_job.py": ("streamer.sink_recovery", "streamer.sink_demo", "streamer.restorer"),
}


def _files() -> list[Path]:
    found = [ROOT / "run_stream.py"]
    for package in PACKAGES:
        found += sorted((ROOT / package).rglob("*.py"))
    return found


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_one_way(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    for module in _imports(path):
        top = module.split(".")[0]
        patterns = ALLOWED.get(top)
        assert patterns is None or any(fnmatch(name, p) for p in patterns), f"{name}: {module}"
        assert module not in NEVER.get(name, ()), f"{name} must not import {module}"


@pytest.mark.parametrize("path", sorted((ROOT / "streamer").glob("sink*.py")), ids=lambda p: p.name)
def test_a_sink_cannot_name_a_source_frame(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert "Frame" not in names


@pytest.mark.parametrize("path", _files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 320
