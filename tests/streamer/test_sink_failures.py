"""The sink: what it refuses, and what it leaves behind when it fails."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engines.errors import SinkError
from streamer.frames import CopiedPacket, Frame
from streamer.media_info import MediaInfo
from streamer.sink import Sink, SinkOptions, open_sink
from streamer.source import open_source
from tests.media import Recipe, anonymized, make_video, pass_through, read_all

CONTAINERS = (".mp4", ".mov", ".mkv", ".ts")


def _info(tmp_path: Path) -> tuple[MediaInfo, list[Frame]]:
    content = read_all(make_video(tmp_path / "source.mp4"))
    return content.info, content.frames


def test_only_anonymised_frames_and_copied_packets_get_in(tmp_path: Path) -> None:
    info, frames = _info(tmp_path)
    sink = open_sink(tmp_path / "b.mp4", info)
    with pytest.raises(TypeError, match="AnonymizedFrame"):
        sink.write(frames[0])  # type: ignore[arg-type] # the point of the test
    with pytest.raises(TypeError, match="CopiedPacket"):
        sink.copy(frames[0])  # type: ignore[arg-type] # the point of the test
    sink.abort()
    assert not list(tmp_path.glob("b*"))


def test_frames_must_fit_and_follow(tmp_path: Path) -> None:
    info, frames = _info(tmp_path)
    with open_sink(tmp_path / "b.mp4", info) as sink:
        sink.write(anonymized(frames[1]))
        with pytest.raises(ValueError, match="pts"):
            sink.write(anonymized(frames[0]))
        with pytest.raises(ValueError, match="a frame of"):
            sink.write(anonymized(frames[2], np.zeros((96, 128), np.uint8)))
        with pytest.raises(ValueError, match="time base"):
            sink.write(anonymized(replace(frames[2], time_base=Fraction(1, 7))))
    with pytest.raises(ValueError, match="closed"):
        sink.write(anonymized(frames[3]))


@pytest.mark.parametrize("name", ["missing/b.mp4", "b.webm", "b", "b.avi"])
def test_places_and_formats_that_cannot_be_written(tmp_path: Path, name: str) -> None:
    info, _ = _info(tmp_path)
    with pytest.raises(SinkError, match=name.split("/")[0]):
        open_sink(tmp_path / name, info)


def test_the_input_is_never_overwritten(tmp_path: Path) -> None:
    info, _ = _info(tmp_path)
    os.link(tmp_path / "source.mp4", tmp_path / "link.mp4")
    for name in ("source.mp4", "link.mp4"):
        with pytest.raises(SinkError, match="overwrite the input"):
            open_sink(tmp_path / name, info, options=SinkOptions(overwrite=True))
    assert len(read_all(tmp_path / "source.mp4").frames) == 12


def test_an_existing_output_needs_permission(tmp_path: Path) -> None:
    (tmp_path / "b.mp4").write_bytes(b"old")
    source = make_video(tmp_path / "a.mp4")
    with pytest.raises(SinkError, match="exists already"):
        pass_through(source, tmp_path / "b.mp4")
    assert (tmp_path / "b.mp4").read_bytes() == b"old"
    pass_through(source, tmp_path / "b.mp4", options=SinkOptions(overwrite=True))
    assert len(read_all(tmp_path / "b.mp4").frames) == 12


def test_a_pipe_is_no_output(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "b.mp4")
    info, _ = _info(tmp_path)
    with pytest.raises(SinkError, match="not a regular file"):
        open_sink(tmp_path / "b.mp4", info, options=SinkOptions(overwrite=True))


def test_a_folder_without_permission(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write everywhere")
    info, _ = _info(tmp_path)
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    with pytest.raises(SinkError, match="no permission"):
        open_sink(folder / "b.mp4", info)


def test_urls_are_no_output_and_stay_secret(tmp_path: Path) -> None:
    info, _ = _info(tmp_path)
    with pytest.raises(SinkError) as caught:
        open_sink("rtsp://user:hunter2@host/b.mp4", info)
    assert "hunter2" not in str(caught.value)


def test_nothing_is_left_without_a_frame_or_after_an_error(tmp_path: Path) -> None:
    info, frames = _info(tmp_path)
    with pytest.raises(SinkError, match="no frame"), open_sink(tmp_path / "b.mp4", info):
        pass
    with pytest.raises(ZeroDivisionError), open_sink(tmp_path / "b.mp4", info) as sink:
        _write_and_fail(sink, frames[0])
    assert not list(tmp_path.glob("b*"))


def _write_and_fail(sink: Sink, frame: Frame) -> None:
    sink.write(anonymized(frame))
    raise ZeroDivisionError


def test_a_kept_partial_has_another_name(tmp_path: Path) -> None:
    info, frames = _info(tmp_path)
    sink = open_sink(tmp_path / "b.mp4", info)
    for frame in frames:
        sink.write(anonymized(frame))
    assert sink.abort(keep_partial=True) == tmp_path / "b.partial.mp4"
    assert not (tmp_path / "b.mp4").exists()
    assert len(read_all(tmp_path / "b.partial.mp4").frames) == 12


_FULL_DISK = """
import resource, sys
from pathlib import Path
from engines.errors import SinkError
from tests.media import pass_through
resource.setrlimit(resource.RLIMIT_FSIZE, (20000, 20000))
try:
    pass_through(Path(sys.argv[1]), Path(sys.argv[2]))
except SinkError as error:
    print(error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_a_full_disk_is_one_clear_error(tmp_path: Path, suffix: str) -> None:
    source = make_video(tmp_path / "a.mp4", Recipe(pts=tuple(range(40)), size_hw=(240, 320)))
    target = tmp_path / f"b{suffix}"
    command = [sys.executable, "-c", _FULL_DISK, str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "cannot be written" in done.stdout
    assert not done.stderr
    assert not list(tmp_path.glob("b*"))


_KILLED = """
import sys, time
from pathlib import Path
from streamer.frames import CopiedPacket
from streamer.sink import SinkOptions, open_sink
from streamer.source import open_source
from tests.media import anonymized
with open_source(sys.argv[1]) as source:
    options = SinkOptions(keyframe_interval_s=0.4)
    sink = open_sink(sys.argv[2], source.info, options=options)
    for item in source:
        if isinstance(item, CopiedPacket):
            sink.copy(item)
        else:
            sink.write(anonymized(item))
            if item.index == 100:
                print("now", flush=True)
                time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("suffix", CONTAINERS)
def test_what_was_written_before_a_kill_plays(tmp_path: Path, suffix: str) -> None:
    recipe = Recipe(pts=tuple(range(120)), audio_start_s=0.0, audio_packets=220)
    source = make_video(tmp_path / "a.mp4", recipe)
    target = tmp_path / f"b{suffix}"
    command = [sys.executable, "-c", _KILLED, str(source), str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.kill()
    assert not target.exists()
    content = read_all(tmp_path / f"b.partial{suffix}")
    assert 85 <= len(content.frames) <= 101
    assert content.copies


def test_copied_packets_that_overlap_do_not_stop_the_file(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mkv", Recipe(audio_start_s=0.0))
    target = tmp_path / "b.mp4"
    with open_source(source) as opened:
        sink: Sink = open_sink(target, opened.info)
        for item in opened:
            if isinstance(item, CopiedPacket):
                sink.copy(item)
                sink.copy(item)
            else:
                sink.write(anonymized(item))
        sink.close()
    assert any("overlap" in notice for notice in sink.notices)
    assert len(read_all(target).frames) == 12
