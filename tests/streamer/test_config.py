from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import ConfigError
from streamer.config import CONFIGS_FOLDER, AppConfig, load_config


@pytest.mark.parametrize("path", sorted(CONFIGS_FOLDER.glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_configs_load(path: Path) -> None:
    assert isinstance(load_config(path), AppConfig)


def test_default_yaml_is_the_default() -> None:
    assert load_config(None) == AppConfig()


def test_a_shipped_config_is_found_by_name() -> None:
    assert load_config(Path("max-privacy")).keylog.irreversible


def test_unknown_key_suggests_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("identity:\n  lvel: 3\n")
    with pytest.raises(ConfigError, match=r"identity\.lvel: unknown key; did you mean 'level'"):
        load_config(path)


def test_unknown_section_suggests_the_nearest(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("vidoe:\n  crf: 3\n")
    with pytest.raises(ConfigError, match="did you mean 'video'"):
        load_config(path)


def test_a_rejected_value_is_not_echoed(tmp_path: Path) -> None:
    path = tmp_path / "c.yaml"
    path.write_text("video:\n  crf: s3cret-in-the-wrong-place\n")
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert "s3cret" not in str(caught.value)
    assert "video.crf" in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[1, 2]", "mapping"),
        ("a: [", "not valid YAML at line 1"),
        ("\xff", "YAML|mapping"),
        ("identity:\n  level: 12\n", "identity.level"),
    ],
)
def test_bad_files_are_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "c.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml cannot be read"):
        load_config(tmp_path / "nowhere.yaml")


def test_overrides_win_and_none_is_left_out() -> None:
    config = load_config(None, {"identity": {"level": 7, "rotation": None}})
    assert config.identity.level == 7
    assert config.identity.rotation == "orthogonal"
