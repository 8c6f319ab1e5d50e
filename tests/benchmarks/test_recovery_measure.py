from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.recovery_measure import RecoveryFigures, measure_recovery, overall_percent
from benchmarks.source_faces import FrameFaces
from benchmarks.video_io import Fidelity, write_video
from engines.arrays import Float32Array, UInt8Array

_Found = tuple[Float32Array, Float32Array, Float32Array]


def _nobody(_: UInt8Array) -> _Found:
    return np.zeros((0, 4), np.float32), np.zeros((0, 5, 2), np.float32), np.zeros(0, np.float32)


def test_recovered_original_reaches_the_bar_and_another_face_does_not(
    tmp_path: Path,
    face_frames: list[UInt8Array],
    other_frames: list[UInt8Array],
    exact_faces: list[FrameFaces],
) -> None:
    source, other = tmp_path / "a.mkv", tmp_path / "b.mkv"
    write_video(source, face_frames, options={"crf": "12"})
    write_video(other, other_frames, options={"crf": "12"})
    same = measure_recovery(source, source, "sealed", exact_faces, [], _nobody)
    different = measure_recovery(source, other, "sealed", exact_faces, [], _nobody)
    assert same.mean_psnr_db() == pytest.approx(99)
    assert different.mean_psnr_db() < 25
    assert same.face_percent() == 0


def test_one_bad_face_lowers_the_mean(
    tmp_path: Path, face_frames: list[UInt8Array], exact_faces: list[FrameFaces]
) -> None:
    source, output = tmp_path / "a.mkv", tmp_path / "b.mkv"
    write_video(source, face_frames, options={"crf": "12"})
    spoiled = [frame.copy() for frame in face_frames]
    spoiled[2][40:120, 80:160] = 0
    write_video(output, spoiled, options={"crf": "12"})
    figures = measure_recovery(source, output, "sealed", exact_faces, [], _nobody)
    assert figures.mean_psnr_db() < 30
    assert len(figures.psnr_db) == 6


def test_a_clip_with_more_faces_counts_more_over_all_clips() -> None:
    kept = Fidelity(1, 1, True, 0.0, True, 0, 0, True)
    answers = {"long": ("generative", [True, True, False]), "short": ("generative", [False])}
    answers["other"] = ("assisted", [True])
    figures = [
        RecoveryFigures(clip, mode, kept, accepted={"judge": given, "nobody": []})
        for clip, (mode, given) in answers.items()
    ]
    assert overall_percent(figures, "generative") == {"judge": 50.0}
    assert overall_percent(figures, "assisted") == {"judge": 100.0}
    assert overall_percent(figures, "sealed") == {}
