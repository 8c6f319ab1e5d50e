from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.video_io import compare_streams, cut_clip, decode, frame_count, write_video
from engines.arrays import UInt8Array


def _add_audio(path: Path, level: int) -> Path:
    """A video of five frames with PCM audio of one level."""
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=25)
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        audio = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        for number in range(5):
            picture = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 80, np.uint8), "rgb24")
            picture.pts, picture.time_base = number, Fraction(1, 25)
            container.mux(video.encode(picture))
            sound = av.AudioFrame.from_ndarray(
                np.full((1, 320), level + number, np.int16), format="s16", layout="mono"
            )
            sound.sample_rate, sound.pts = 8000, number * 320
            container.mux(audio.encode(sound))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def test_same_file_keeps_everything(tmp_path: Path) -> None:
    path = _add_audio(tmp_path / "a.mkv", 5)
    fidelity = compare_streams(path, path)
    assert fidelity.is_kept
    assert fidelity.audio_in == fidelity.audio_out > 0


def test_changed_audio_is_detected(tmp_path: Path) -> None:
    fidelity = compare_streams(_add_audio(tmp_path / "a.mkv", 5), _add_audio(tmp_path / "b.mkv", 6))
    assert not fidelity.is_audio_identical
    assert not fidelity.is_kept


def test_lost_audio_and_lost_frames_are_detected(
    tmp_path: Path, face_frames: list[UInt8Array]
) -> None:
    source = _add_audio(tmp_path / "a.mkv", 5)
    write_video(tmp_path / "b.mkv", face_frames[:4])
    fidelity = compare_streams(source, tmp_path / "b.mkv")
    assert (fidelity.frames_in, fidelity.frames_out) == (5, 4)
    assert not fidelity.is_audio_identical
    assert not fidelity.is_size_equal


def test_moved_times_are_detected(tmp_path: Path, face_frames: list[UInt8Array]) -> None:
    write_video(tmp_path / "a.mkv", face_frames, rate_hz=25)
    write_video(tmp_path / "b.mkv", face_frames, rate_hz=30)
    fidelity = compare_streams(tmp_path / "a.mkv", tmp_path / "b.mkv")
    assert not fidelity.is_time_equal
    assert fidelity.max_time_error_s == pytest.approx(5 / 25 - 5 / 30, abs=2e-3)


def test_decoding_and_cutting(tmp_path: Path, face_frames: list[UInt8Array]) -> None:
    options = {"bf": "0", "g": "2"}
    write_video(tmp_path / "a.mkv", face_frames, codec="mpeg4", options=options)
    assert frame_count(tmp_path / "a.mkv") == 6
    assert len(list(decode(tmp_path / "a.mkv", limit=2))) == 2
    assert 3 <= frame_count(cut_clip(tmp_path / "a.mkv", tmp_path / "b.mkv", 3)) <= 5
