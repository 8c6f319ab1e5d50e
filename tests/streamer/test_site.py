from __future__ import annotations

from pathlib import Path

import pytest

from engines.errors import ConfigError
from streamer.site import CameraSpec, load_site

SITE = """
settings:
  output: {segment_s: 10m, keep_age_s: 30d}
restart: {first_wait_s: 2}
cameras:
  yard:
    url: rtsp://viewer:s3cret@192.0.2.1/stream
    out: [rec/yard.mkv, "rtsp://192.0.2.2/yard"]
    password_file: keys/yard
    settings:
      cover: {look_back_frames: 3}
      rules: {zones: [[[0, 0], [1, 0], [0, 1]]]}
  door:
    url: door.mp4
    realtime: true
    out: [rec/door.mkv]
    base: max-privacy
    restart: {policy: never}
    settings: {output: {segment_s: 60}}
  attic:
    url: rtsp://192.0.2.3/
    out: [rec/attic.mkv]
    enabled: false
"""


def _load(folder: Path, text: str) -> dict[str, CameraSpec]:
    path = folder / "site.yaml"
    path.write_text(text, encoding="utf-8")
    return dict(load_site(path).cameras)


def test_each_camera_has_its_settings_over_those_of_the_site(tmp_path: Path) -> None:
    cameras = _load(tmp_path, SITE)
    assert list(cameras) == ["yard", "door"]
    yard, door = cameras["yard"], cameras["door"]
    assert yard.config.output.segment_s == 600
    assert yard.config.output.keep_age_s == 30 * 86400
    assert yard.config.cover.look_back_frames == 3
    assert not yard.config.keylog.seal  # of live-camera, the base unless another is given
    assert len(yard.config.rules.zones) == 1
    assert yard.restart.first_wait_s == 2
    assert door.config.keylog.irreversible
    assert door.config.output.segment_s == 60
    assert door.is_file
    assert door.restart.policy == "never"


def test_a_camera_travels_to_its_process(tmp_path: Path) -> None:
    for spec in _load(tmp_path, SITE).values():
        assert CameraSpec.from_json(spec.to_json()) == spec


def test_equal_files_give_equal_cameras(tmp_path: Path) -> None:
    first = _load(tmp_path, SITE)
    assert _load(tmp_path, SITE) == first
    changed = _load(tmp_path, SITE.replace("look_back_frames: 3", "look_back_frames: 4"))
    assert changed["yard"] != first["yard"]
    assert changed["door"] == first["door"]


def test_secrets_are_in_no_repr(tmp_path: Path) -> None:
    assert "s3cret" not in repr(_load(tmp_path, SITE))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("    password_file: keys/yard\n", "", "camera yard: password_file"),
        ("look_back_frames: 3", "look_back_frame: 3", "camera yard.*look_back_frames"),
        ("realtime: true", "realtme: true", "realtime"),
        ("rec/door.mkv", "rec/yard.mkv", "same place"),
        ("  door:", "  'door/..':", "camera name"),
        ("segment_s: 10m", "segment_s: soon", "segment_s"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in SITE
    with pytest.raises(ConfigError, match=message) as caught:
        _load(tmp_path, SITE.replace(old, new))
    assert "s3cret" not in str(caught.value)
