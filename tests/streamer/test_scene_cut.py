from __future__ import annotations

import cv2
import numpy as np

from engines.arrays import UInt8Array
from streamer.scene_cut import SceneCut, SceneCutOptions, thumbnail

HEIGHT, WIDTH = 180, 320


def picture(seed: int, *, gain: float = 1.0, shift: int = 0, noise: float = 0.0) -> UInt8Array:
    """A soft random scene, seen brighter, moved, or with noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(20, 200, (9, 16))
    luma = np.roll(cv2.resize(coarse, (WIDTH, HEIGHT)), shift, axis=1) * gain
    noisy = luma + rng.normal(size=luma.shape) * noise
    return np.asarray(np.clip(noisy, 0, 255), np.uint8)


def cuts(pictures: list[UInt8Array]) -> list[int]:
    detector = SceneCut(SceneCutOptions())
    return [i for i, luma in enumerate(pictures) if detector.update(thumbnail(luma))]


def test_thumbnail_of_any_size() -> None:
    for height, width in ((1080, 1920), (360, 288), (16, 16), (2, 3000)):
        small = thumbnail(np.full((height, width), 77, np.uint8))
        assert small.shape == (18, 32)
        np.testing.assert_allclose(small, 77)


def test_finds_hard_cuts_and_only_them() -> None:
    shots = [picture(1, noise=5)] * 10 + [picture(2, noise=5)] * 3 + [picture(3)] * 10
    assert cuts(shots) == [10, 13]


def test_a_fade_is_no_cut() -> None:
    assert cuts([picture(1, gain=gain) for gain in np.linspace(0, 1.2, 20)]) == []


def test_a_flash_is_no_cut() -> None:
    assert cuts([picture(1)] * 8 + [picture(1, gain=1.25)] + [picture(1)] * 8) == []


def test_a_fast_pan_is_no_cut() -> None:
    assert cuts([picture(1, shift=8 * i) for i in range(20)]) == []


def test_black_to_picture_is_a_cut() -> None:
    black = np.full((HEIGHT, WIDTH), 16, np.uint8)
    assert cuts([black] * 5 + [picture(1)] * 5 + [black] * 5) == [5, 10]
