"""Footage controls: the original is the person, steady and exposed; a black box is nobody."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np
import pytest

from benchmarks.exposure_measure import measure_exposure
from benchmarks.judges import ImageJudge, unit_rows
from benchmarks.source_faces import FrameFaces
from benchmarks.video_faces import ClipFaces, Ensemble, FaceClass, link_tracks, pose_class
from benchmarks.video_io import decode, write_video
from benchmarks.video_measure import (
    TrackCrops,
    breakdown,
    collect_tracks,
    lossless_outside,
    track_figures,
)
from benchmarks.video_methods import box_output, transcoded
from engines.arrays import Float32Array, UInt8Array


def _module() -> ModuleType:
    """The two names that alignment needs."""
    module = ModuleType("alignment")
    template = np.array(
        [[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]], np.float32
    )

    def similarity(points: Float32Array, wanted: Float32Array) -> np.ndarray:
        matrix, _ = cv2.estimateAffinePartial2D(points, wanted)
        return np.asarray(matrix)

    vars(module).update(TEMPLATE112=template, similarity_transform=similarity)
    return module


def _thumbnail(crops: UInt8Array) -> Float32Array:
    small = [cv2.resize(c[50:120, 45:115], (12, 12), interpolation=cv2.INTER_AREA) for c in crops]
    grey = np.stack(small).mean(3).reshape(len(crops), -1).astype(np.float32)
    return unit_rows(grey - grey.mean(1, keepdims=True))


JUDGE = ImageJudge("pixels", _thumbnail, {"FAR 1e-3": 0.3})


class _Blind:
    """A reader that sees no face."""

    def read(self, crops: UInt8Array) -> Any:  # noqa: ANN401
        from benchmarks.privacy_looks import Looks

        n = len(crops)
        points = {"66 points": np.zeros((n, 66, 2))}
        return Looks(
            np.zeros(n, bool),
            np.zeros((n, 4)),
            points,
            np.zeros((n, 3)),
            np.zeros(n),
            np.zeros(n),
            np.zeros((n, 2, 2)),
        )


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory, face_frames: list[UInt8Array]) -> Path:
    path = tmp_path_factory.mktemp("video") / "clip.mkv"
    write_video(path, face_frames, options={"crf": "12"})
    return path


@pytest.fixture
def faces(exact_faces: list[FrameFaces]) -> ClipFaces:
    points = np.array([[[105, 72], [133, 72], [119, 87], [108, 100], [130, 100]]], np.float32)
    frames = [
        FrameFaces(f.boxes_xyxy_px, points, f.is_confirmed, f.doubtful_xyxy_px) for f in exact_faces
    ]
    kinds = [[FaceClass("40-79", "frontal", "free")] for _ in frames]
    return ClipFaces(frames, kinds, link_tracks(frames))


def _figures(clip: Path, output: Path, faces: ClipFaces) -> dict[str, Any]:
    tracks = collect_tracks(clip, output, faces, _module())
    strangers = np.random.default_rng(0).integers(0, 256, (10, 160, 160, 3)).astype(np.uint8)
    return track_figures(tracks, [JUDGE], strangers, _Blind())  # type: ignore[arg-type]


def test_the_original_is_itself_and_steady(clip: Path, faces: ClipFaces) -> None:
    found = _figures(clip, clip, faces)
    assert found["tracks"] == 1
    assert found["pixels"]["sr_far_1e3"] == 0
    assert found["pixels"]["template_accepted"] == 1
    assert found["pixels"]["template_rank1"] == 1
    assert found["accepted_by_any"] == 1
    assert found["flicker_ratio"] == pytest.approx(1)


def test_a_black_box_is_nobody(clip: Path, faces: ClipFaces, tmp_path: Path) -> None:
    output = box_output(clip, faces.frames, tmp_path, "black box")
    found = _figures(clip, output, faces)
    assert found["pixels"]["sr_far_1e3"] == 1
    assert found["pixels"]["template_accepted"] == 0
    assert found["accepted_by_any"] == 0
    assert found["flicker_ratio"] < 0.3
    exposure = measure_exposure(clip, output, faces.frames, [])
    row = breakdown(exposure, faces)["pose"]["frontal"]
    assert row == {"faces": 6, "exposed": 0, "confirmed": 0, "weak": 0}


def test_exposed_faces_are_counted_in_their_class(clip: Path, faces: ClipFaces) -> None:
    found = breakdown(measure_exposure(clip, clip, faces.frames, []), faces)
    assert found["size"]["40-79"]["exposed"] == 6
    assert found["hidden"]["free"]["confirmed"] == 6


@pytest.mark.parametrize("kind", ["Gaussian blur", "pixelation", "Gaussian noise"])
def test_filters_change_the_face_only(
    kind: str, clip: Path, faces: ClipFaces, tmp_path: Path
) -> None:
    output = box_output(clip, faces.frames, tmp_path, kind)
    before, after = next(decode(clip)).bgr, next(decode(output)).bgr
    change = np.abs(before.astype(int) - after).mean(2)
    assert change[55:105, 95:145].mean() > 2 * change[:, 200:].mean()


def test_what_is_outside_is_compared_to_the_bit(
    clip: Path, faces: ClipFaces, tmp_path: Path
) -> None:
    assert lossless_outside(clip, clip, faces) == {
        "frames": 6, "frames_equal": 1.0, "worst_psnr_db": 99.0,
    }  # fmt: skip
    other = transcoded(clip, tmp_path / "other.mkv", crf=40)
    found = lossless_outside(clip, other, faces)
    assert found["frames_equal"] < 1
    assert found["worst_psnr_db"] < 60


def test_copies_keep_times_and_take_a_new_size(clip: Path, tmp_path: Path) -> None:
    small = transcoded(clip, tmp_path / "small.mkv", codec="libx265", crf=28, height=80)
    before, after = list(decode(clip)), list(decode(small))
    assert [f.time_s for f in after] == [f.time_s for f in before]
    assert after[0].bgr.shape == (80, 120, 3)


def _finder(*boxes: tuple[float, ...]) -> Any:  # noqa: ANN401
    def find(_bgr: UInt8Array) -> tuple[Float32Array, Float32Array, Float32Array]:
        rows = np.array(boxes, np.float32).reshape(-1, 5)
        return rows[:, :4], np.zeros((len(rows), 5, 2), np.float32), rows[:, 4]

    return find


def test_ensemble_joins_and_confirms() -> None:
    first = _finder((0, 0, 10, 10, 0.9), (50, 50, 60, 60, 0.4))
    second = _finder((1, 1, 11, 11, 0.8), (50, 50, 60, 60, 0.9), (80, 0, 90, 10, 0.3))
    ensemble = Ensemble([first, second])
    frame = np.zeros((100, 100, 3), np.uint8)
    boxes, points, scores = ensemble.find(frame)
    strong = boxes[scores >= 0.6]
    assert strong.tolist() == [[0, 0, 10, 10], [50, 50, 60, 60]]
    assert len(points) == len(boxes) == 3
    assert ensemble.confirm(frame)[0].tolist() == [[0, 0, 10, 10]]


def test_tracks_follow_overlap_and_short_gaps() -> None:
    def faces(*lefts: float) -> FrameFaces:
        boxes = np.array([[x, 0, x + 20, 20] for x in lefts], np.float32).reshape(-1, 4)
        n = len(boxes)
        return FrameFaces(boxes, np.zeros((n, 5, 2), np.float32), np.ones(n, bool), boxes)

    frames = [faces(0, 100), faces(104, 3), faces(), faces(8), faces(200)]
    assert [names.tolist() for names in link_tracks(frames)] == [[0, 1], [1, 0], [], [0], [2]]


def test_pose_is_read_from_the_nose() -> None:
    def face(nose_x: float) -> Float32Array:
        return np.array([[0, 0], [10, 0], [nose_x, 6], [2, 12], [8, 12]], np.float32)

    assert [pose_class(face(x)) for x in (5, 9, 13, -3)] == [
        "frontal", "turned", "profile", "profile",
    ]  # fmt: skip


def test_no_track_no_verdict() -> None:
    none: dict[int, TrackCrops] = {}
    assert track_figures(none, [JUDGE], np.zeros((1, 160, 160, 3), np.uint8), _Blind()) == {  # type: ignore[arg-type]
        "tracks": 0
    }
