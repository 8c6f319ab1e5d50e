"""The whole live job on the made-up sample, as a camera of its own: pieces, logs, zones, people."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engines.errors import ConfigError
from run_stream import main
from streamer.config import AppConfig, load_config
from streamer.demo_sample import SAMPLE_FPS, SAMPLE_SIZE_HW, sample_frames
from streamer.interrupt import StopRequest
from streamer.job_options import live_options
from streamer.key_log import KeyLogReader
from streamer.key_log_records import Gap, Note
from streamer.live_job import LiveReport, LiveRequest, anonymize_live
from streamer.progress import QuietProgress
from streamer.sink_demo import DemoSink
from tests.media import read_all

pytestmark = pytest.mark.slow

PASSWORD = b"correct horse battery staple"
SECONDS = 3.0
ZONE = ((0.0, 0.0), (0.2, 0.0), (0.2, 0.3), (0.0, 0.3))


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("camera") / "camera.mp4"
    with DemoSink(path, SAMPLE_SIZE_HW, fps=SAMPLE_FPS) as sink:
        for pixels in sample_frames(SECONDS):
            sink.write_sample(pixels)
    return path


def _config(**sections: dict[str, Any]) -> AppConfig:
    base: dict[str, dict[str, Any]] = {
        "video": {"preset": "ultrafast"}, "engine": {"workers": 1},
        # The machine may be slower than a camera; nobody waits for these pictures.
        "live": {"stub_after_s": None},
    }  # fmt: skip
    return load_config(Path("live-camera"), {**base, **sections})


def _run(sample: Path, out: Path, config: AppConfig) -> LiveReport:
    request = LiveRequest(
        str(sample), (str(out),), None, live_options(config, str(sample), is_file=True)
    )
    return anonymize_live(request, config, PASSWORD, stop=StopRequest(), progress=QuietProgress())


@pytest.fixture(scope="module")
def pieces(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("pieces")
    config = _config(
        output={"segment_s": 1.0}, keylog={"seal": True}, rules={"zones": (ZONE,)},
        cover={"look_back_frames": 3},
    )  # fmt: skip
    report = _run(sample, folder / "yard.mkv", config)
    found = sorted(folder.glob("yard-*.mkv"))
    assert report.frames == sum(len(read_all(path).frames) for path in found)
    assert report.frames + report.dropped == SECONDS * SAMPLE_FPS
    assert report.replaced + report.covered > 0
    assert report.latency_p50_s <= report.latency_p95_s <= report.latency_p99_s
    return found


def test_each_piece_opens_with_the_password_alone(pieces: list[Path]) -> None:
    assert len(pieces) >= 2
    ids = set()
    for path in pieces:
        content = read_all(path)
        assert content.times_s[0] == 0
        with KeyLogReader.open(Path(f"{path}.vskl"), PASSWORD) as reader:
            ids.add(reader.header.recording_id)
            assert reader.is_complete
            assert reader.tracks()
            faces = [one for one in reader.records() if not isinstance(one, Note | Gap)]
        assert faces
    assert len(ids) == len(pieces)


def _recover(
    path: Path, keylog: Path, folder: Path, capsys: pytest.CaptureFixture[str]
) -> dict[str, Any]:
    """Bring the faces of a piece back; gives the report."""
    password = folder / "password"
    password.write_bytes(PASSWORD)
    password.chmod(0o600)
    code = main(
        ["recover", str(path), "--keylog", str(keylog), "--out", str(folder / f"back-{path.name}"),
         "--quiet", "--json", "--reason", "a test", "--password-file", str(password)]
    )  # fmt: skip
    assert code == 0
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def test_the_faces_of_each_piece_come_back(
    pieces: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in pieces:
        report = _recover(path, Path(f"{path}.vskl"), tmp_path, capsys)
        assert report["mode"] == "sealed"
        assert report["is_log_complete"]
        assert report["frames"] == len(read_all(path).frames)
        assert report["frames_with_faces"] > 0.5 * report["frames"]


def test_a_track_keeps_its_key_across_pieces(pieces: list[Path]) -> None:
    keys: dict[int, set[bytes | None]] = {}
    for path in pieces:
        with KeyLogReader.open(Path(f"{path}.vskl"), PASSWORD) as reader:
            for track, starts in reader.tracks().items():
                keys.setdefault(track, set()).update(start.key for start in starts)
    assert keys
    assert all(len(found) == 1 for found in keys.values())


def test_the_zone_is_filled_in_every_frame(pieces: list[Path]) -> None:
    height, width = SAMPLE_SIZE_HW
    for path in pieces:
        for frame in read_all(path).frames:
            zone = frame.pixels[: int(height * 0.29), : int(width * 0.19)].astype(int)
            assert np.abs(zone - 128).max() <= 6  # what coding does to a flat place


def test_sound_options_and_places_are_checked_before_anything_is_opened(tmp_path: Path) -> None:
    config = _config(output={"shared_keylog": True})
    for outs, keylog, message in (
        ((str(tmp_path / "a.mp4"),), None, "mkv"),
        (("rtsp://127.0.0.1:9/x",), None, "key log"),
        ((), None, "at least one"),
        ((str(tmp_path / "a.mkv"), str(tmp_path / "a.mkv")), None, "twice"),
    ):
        options = live_options(config, "nowhere.mp4", is_file=True)
        with pytest.raises(ConfigError, match=message):
            anonymize_live(
                LiveRequest("nowhere.mp4", outs, keylog, options), config, PASSWORD,
                stop=StopRequest(), progress=QuietProgress(),
            )  # fmt: skip


def test_one_log_for_all_pieces_brings_each_of_them_back(
    sample: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = _config(output={"segment_s": 1.0, "shared_keylog": True}, keylog={"seal": True})
    _run(sample, tmp_path / "yard.mkv", config)
    # Names of one second are not in order: "-2.mkv" comes before ".mkv".
    found = sorted(tmp_path.glob("yard-*.mkv"), key=lambda path: read_all(path).times_s[0])
    assert len(found) >= 2
    assert [path.name for path in tmp_path.glob("*.vskl")] == ["yard.mkv.vskl"]
    starts = [read_all(path).times_s[0] for path in found]
    assert starts == sorted(set(starts))
    assert starts[1] > 0.9
    for path in found:
        report = _recover(path, tmp_path / "yard.mkv.vskl", tmp_path, capsys)
        assert report["mode"] == "sealed"
        assert report["frames"] == len(read_all(path).frames)
        assert report["frames_with_faces"] > 0.5 * report["frames"]
