"""What an installation must bring along besides code."""

from __future__ import annotations

import tomllib
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"][
    "setuptools"
]


@pytest.mark.parametrize(
    "package", ["engines.weights", "streamer.sample", "streamer.console", "configs"]
)
def test_data_files_are_installed(package: str) -> None:
    patterns = SETTINGS["package-data"][package]
    folder = ROOT / package.replace(".", "/")
    data = [p.name for p in folder.iterdir() if p.is_file() and p.suffix != ".py"]
    assert data
    assert [name for name in data if not any(fnmatch(name, p) for p in patterns)] == []


def test_every_package_of_the_product_is_installed() -> None:
    found = {
        ".".join(path.parent.relative_to(ROOT).parts)
        for top in ("engines", "streamer", "export", "configs")
        for path in (ROOT / top).rglob("__init__.py")
    }
    assert found == set(SETTINGS["packages"])
