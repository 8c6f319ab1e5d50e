from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks.exposure_controls import black_boxes, re_encoded
from benchmarks.exposure_measure import measure_exposure
from benchmarks.false_alarms import false_alarm
from benchmarks.persons import PersonJudge
from benchmarks.source_faces import FrameFaces
from benchmarks.video_io import write_video
from engines.arrays import Float32Array, UInt8Array


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, face_frames: list[UInt8Array]) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    write_video(path, face_frames, options={"crf": "12"})
    return path


def test_original_against_itself_is_exposed(clip: Path, exact_faces: list[FrameFaces]) -> None:
    result = measure_exposure(clip, clip, exact_faces, [])
    assert len(result.exposed()) == 6
    assert result.per_10000_frames() == pytest.approx(10_000)
    assert result.fidelity.is_kept


@pytest.mark.parametrize("kind", ["re-encode", "mpeg4"])
def test_plain_re_encoding_is_exposed(
    clip: Path, exact_faces: list[FrameFaces], tmp_path: Path, kind: str
) -> None:
    output = re_encoded(clip, tmp_path / "out.mkv", kind)
    result = measure_exposure(clip, output, exact_faces, [])
    assert len(result.exposed()) == 6
    assert result.altered_max_percent < 1


def test_black_box_is_neither_exposed_nor_weak(
    clip: Path, exact_faces: list[FrameFaces], tmp_path: Path
) -> None:
    output = black_boxes(clip, exact_faces, tmp_path / "out.mkv")
    result = measure_exposure(clip, output, exact_faces, [])
    assert not result.exposed()
    assert result.count("is_weak") == 0
    assert result.altered_max_percent < 1


def test_one_uncovered_frame_is_found(
    clip: Path, exact_faces: list[FrameFaces], face_frames: list[UInt8Array], tmp_path: Path
) -> None:
    frames = []
    for number, (frame, faces) in enumerate(zip(face_frames, exact_faces, strict=True)):
        canvas = frame.copy()
        left, top, right, bottom = faces.boxes_xyxy_px[0].astype(int)
        if number != 4:
            canvas[top:bottom, left:right] = 0
        frames.append(canvas)
    write_video(tmp_path / "out.mkv", frames, options={"crf": "12"})
    result = measure_exposure(clip, tmp_path / "out.mkv", exact_faces, [])
    assert [face.frame for face in result.exposed()] == [4]
    assert "frame 4" in result.exposed()[0].line()


def test_darkened_face_is_weak(
    clip: Path, exact_faces: list[FrameFaces], face_frames: list[UInt8Array], tmp_path: Path
) -> None:
    frames = [(frame // 2).astype(np.uint8) for frame in face_frames]
    write_video(tmp_path / "out.mkv", frames, options={"crf": "12"})
    result = measure_exposure(clip, tmp_path / "out.mkv", exact_faces, [])
    assert not result.exposed()
    assert result.share("is_weak") == 100


def test_other_person_is_not_untouched(
    clip: Path, exact_faces: list[FrameFaces], other_frames: list[UInt8Array], tmp_path: Path
) -> None:
    write_video(tmp_path / "out.mkv", other_frames, options={"crf": "12"})
    result = measure_exposure(clip, tmp_path / "out.mkv", exact_faces, [])
    assert not result.exposed()


def test_false_cover_is_counted(
    clip: Path, no_faces: list[FrameFaces], face_frames: list[UInt8Array], tmp_path: Path
) -> None:
    frames = [frame.copy() for frame in face_frames]
    for frame in frames:
        frame[:80, :120] = 0
    write_video(tmp_path / "out.mkv", frames, options={"crf": "12"})
    result = measure_exposure(clip, tmp_path / "out.mkv", no_faces, [])
    assert result.altered_mean_percent == pytest.approx(25, abs=4)


def test_judges_are_asked_at_their_interval(clip: Path, exact_faces: list[FrameFaces]) -> None:
    def alike(a: UInt8Array, b: UInt8Array, box: Float32Array, points: Float32Array) -> float:
        return 1.0 if np.array_equal(a, b) else 0.0

    judge = PersonJudge("pixels", alike, 0.5)
    result = measure_exposure(clip, clip, exact_faces, [(judge, 2)])
    assert sum("pixels" in face.accepted for face in result.faces) == 3
    assert result.same_person("pixels") == 1.0
    assert result.as_dict()["exposed"] == 6


def test_known_false_alarms_are_listed_apart(
    face_frames: list[UInt8Array], exact_faces: list[FrameFaces], tmp_path: Path
) -> None:
    path = tmp_path / "cockatoo_no_face.mkv"
    write_video(path, face_frames, options={"crf": "12"})
    result = measure_exposure(path, path, exact_faces, [])
    assert not result.exposed()
    assert len(result.false_alarms_left()) == 6
    assert "a bird's head" in result.false_alarms_left()[0].line()


def test_false_alarms_are_known_by_place_and_frame() -> None:
    ear = np.array([550, 188, 612, 257], np.float32)
    assert false_alarm("mask_turn_hands", 52, ear) == "an ear"
    assert false_alarm("mask_turn_hands", 53, ear) is None
    assert false_alarm("mask_turn_hands", 52, ear + 100) is None
