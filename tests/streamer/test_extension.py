from __future__ import annotations

import numpy as np

from engines.arrays import Float32Array, Float64Array
from streamer.extension import ExtensionOptions, absorb_loose, extension_boxes
from streamer.track_table import Observations
from tests.streamer.scenes import STEP_S, face_box, face_points

OPTIONS = ExtensionOptions()


def boxes_at(*xs: float) -> Float64Array:
    return np.stack([face_box(x, 200) for x in xs]).astype(np.float64)


def observations(*faces: tuple[int, float, float]) -> Observations:
    """Faces given as frame, x and score."""
    points: Float32Array = np.array([face_points(x, 200) for _, x, _ in faces], np.float32)
    return Observations(
        np.array([frame for frame, *_ in faces], np.int64),
        np.array([face_box(x, 200) for _, x, _ in faces], np.float32).reshape(-1, 4),
        points.reshape(-1, 5, 2),
        np.array([score for *_, score in faces], np.float32),
    )


def test_goes_on_along_the_way_and_slows_down() -> None:
    times_s = np.array([0.16, 0.12, 0.08, 0.04, 0.0])
    wanted = np.array([0.2, 0.36, 2.0])
    expected, grown = extension_boxes(times_s, boxes_at(116, 112, 108, 104, 100), wanted, OPTIONS)
    middles = expected[:, [0, 2]].mean(1)
    assert 118 < middles[0] < 120.1
    assert 125 < middles[1] < 136
    assert middles[2] <= 116 + 100 * OPTIONS.slow_down_s + 1e-6
    assert (grown[:, :2] <= expected[:, :2]).all()
    assert (grown[:, 2:] >= expected[:, 2:]).all()
    assert (np.diff(grown[:, 2] - grown[:, 0]) > 0).all()


def test_backwards_is_the_mirror_image() -> None:
    times_s = np.array([0.0, 0.04, 0.08, 0.12])
    expected, _ = extension_boxes(times_s, boxes_at(100, 104, 108, 112), np.array([-0.04]), OPTIONS)
    assert 96 <= expected[0, [0, 2]].mean() < 97


def test_one_sighting_has_no_speed() -> None:
    expected, _ = extension_boxes(np.array([1.0]), boxes_at(100), np.array([1.5]), OPTIONS)
    np.testing.assert_allclose(expected[0], boxes_at(100)[0])


def absorb(seen: Observations, loose: Observations, step: int, shots: list[int]) -> list[int]:
    times_s = np.asarray(np.arange(len(shots)) * STEP_S, np.float64)
    joined = absorb_loose(seen, loose, times_s, np.array(shots), OPTIONS, reach_s=0.3, step=step)
    np.testing.assert_allclose(joined.boxes_xyxy_px[:, 1], 160)
    assert joined.landmarks_px.shape == (len(joined), 5, 2)
    return [int(frame) for frame in joined.frames]


def test_follows_weak_detections_both_ways() -> None:
    seen = observations((20, 100, 0.9), (21, 100, 0.9))
    loose = observations((8, 96, 0.2), (14, 98, 0.2), (19, 99, 0.2), (25, 101, 0.2), (39, 1, 0.9))
    assert absorb(seen, loose, -1, [0] * 40) == [8, 14, 19, 20, 21]
    assert absorb(seen, loose, 1, [0] * 40) == [20, 21, 25]


def test_does_not_follow_far_faces_noise_long_gaps_or_other_shots() -> None:
    seen = observations((20, 100, 0.9))
    far = observations((19, 260, 0.3))
    noise = observations((19, 100, OPTIONS.absorb_score - 0.01))
    early = observations((5, 100, 0.3))
    before_cut = observations((19, 100, 0.3))
    for loose in (far, noise, early):
        assert absorb(seen, loose, -1, [0] * 40) == [20]
    assert absorb(seen, before_cut, -1, [0] * 20 + [1] * 20) == [20]
