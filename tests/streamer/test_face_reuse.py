"""Late frames: the face drawn last is shown once more, unless that could show the person."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from engines.arrays import AnyArray, Float32Array, UInt8Array
from engines.face_mask import face_mask
from engines.generator import FaceGenerator
from streamer.blender import Blender
from streamer.face_reuse import DrawnFace, FaceReuse
from streamer.frames import Frame
from streamer.kept_pictures import KeptPictures
from streamer.media_info import Notices
from streamer.renderer import Renderer
from tests.factories import CROP_PX, generator_engine, inverting, make_frame, make_planned

ONE, OTHER = np.eye(512, dtype=np.float32)[:2]
MIDDLE = np.s_[70:90, 70:90]
CROP: UInt8Array = np.random.default_rng(1).integers(40, 200, (160, 160, 3), np.uint8)


def _drawn(mask: Float32Array | None = None, *, crop: UInt8Array = CROP) -> FaceReuse:
    reuse = FaceReuse()
    mask = face_mask(160).copy() if mask is None else mask
    reuse.remember(3, DrawnFace(10.0, ONE, crop, 255 - crop, mask))
    return reuse


def _changed(where: Any, *, by: int, crop: UInt8Array = CROP) -> UInt8Array:  # noqa: ANN401 - a slice
    changed = crop.copy()
    changed[where] = changed[where] + by
    return changed


def test_the_last_face_serves_for_the_next_frame_and_what_it_hides_may_move() -> None:
    found = _drawn().find(3, time_s=10.04, target=ONE, crop=_changed(MIDDLE, by=40))
    assert found is not None
    np.testing.assert_array_equal(found.face, 255 - CROP)


@pytest.mark.parametrize(
    ("track", "time_s", "target"),
    [(4, 10.04, ONE), (3, 10.2, ONE), (3, 9.9, ONE), (3, 10.04, OTHER)],
    ids=["another track", "too old", "time went back", "another identity"],
)
def test_it_serves_for_nothing_else(track: int, time_s: float, target: Float32Array) -> None:
    assert _drawn().find(track, time_s=time_s, target=target, crop=CROP) is None


def test_a_hand_that_was_in_front_and_has_gone_asks_for_a_new_face() -> None:
    mask = face_mask(160).copy()
    mask[MIDDLE] = 0.0  # a hand was there, and stayed visible
    assert _drawn(mask).find(3, time_s=10.04, target=ONE, crop=CROP) is not None
    gone = _changed(MIDDLE, by=40)
    assert _drawn(mask).find(3, time_s=10.04, target=ONE, crop=gone) is None


def test_in_the_dark_a_smaller_change_counts() -> None:
    dark = (CROP // 16).astype(np.uint8)
    mask = face_mask(160).copy()
    mask[MIDDLE] = 0.0
    changed = _changed(MIDDLE, by=3, crop=dark)
    assert _drawn(mask, crop=dark).find(3, time_s=10.04, target=ONE, crop=changed) is None
    bright = _changed(MIDDLE, by=3)
    assert _drawn(mask).find(3, time_s=10.04, target=ONE, crop=bright) is not None


def test_a_track_that_is_gone_is_forgotten() -> None:
    reuse = _drawn()
    reuse.keep([4])
    assert reuse.find(3, time_s=10.04, target=ONE, crop=CROP) is None


def _renderer(
    answer: Callable[[Mapping[str, AnyArray]], dict[str, AnyArray]] = inverting,
) -> tuple[Renderer, Any]:
    engine = generator_engine(answer)
    renderer = Renderer(
        FaceGenerator(engine), Blender(fallback="fill"), {1: ONE, 2: OTHER},
        guard=None, keeps=KeptPictures.NOTHING, notices=Notices(), reuse=FaceReuse(),
    )  # fmt: skip
    return renderer, engine


def _frames(count: int) -> list[Frame]:
    return [make_frame(index=index) for index in range(count)]


def test_only_late_frames_are_spared_and_no_face_is_reused_for_long() -> None:
    renderer, engine = _renderer()
    plan = (make_planned(),)
    drawn = []
    for frame, is_late in zip(_frames(8), [False, False, *[True] * 6], strict=True):
        result = renderer.render(frame, plan, is_late=is_late).result
        assert result.replaced == {1}
        drawn.append(engine.calls)
    # At 25 frames a second a face serves for three more frames, then a new one is due.
    assert drawn == [1, 2, 2, 2, 2, 3, 3, 3]


def test_a_reused_face_is_drawn_where_the_head_is_now() -> None:
    renderer, engine = _renderer()
    first, second = (make_frame(index=index, value=128) for index in (0, 1))
    textured = np.random.default_rng(5).integers(90, 160, first.pixels.shape, np.uint8)
    moved = np.roll(textured[:240], 4, axis=1)
    first.pixels[:240], second.pixels[:240] = textured[:240], moved
    before = renderer.render(first, (make_planned(),)).result.frame
    after = renderer.render(second, (make_planned(centre_xy=(164.0, 120.0)),), is_late=True)
    assert engine.calls == 1
    around = np.s_[90:150, 130:190]
    shifted = np.roll(before.pixels[:240], 4, axis=1)[around].astype(int)
    assert np.abs(shifted - after.result.frame.pixels[:240][around]).mean() < 1.0


def test_faces_beside_a_reused_one_are_drawn() -> None:
    renderer, engine = _renderer()
    one = make_planned(centre_xy=(90.0, 120.0))
    two = make_planned(track_id=2, centre_xy=(230.0, 120.0))
    first, second = _frames(2)
    renderer.render(first, (one,))
    result = renderer.render(second, (one, two), is_late=True).result
    assert engine.calls == 2
    assert result.replaced == {1, 2}


def test_a_reused_face_that_would_hide_nothing_is_not_used() -> None:
    """What is shown is checked in each frame, whoever made it."""

    def transparent(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
        crop = inputs["crop"]
        return {"face": -crop, "alpha": np.zeros_like(crop[:, :1])}

    renderer, _ = _renderer(transparent)
    for frame, is_late in zip(_frames(2), (False, True), strict=True):
        result = renderer.render(frame, (make_planned(),), is_late=is_late).result
        assert not result.replaced
        assert result.filled == {1}


def test_crops_have_the_size_that_the_rule_was_measured_at() -> None:
    assert len(CROP) == CROP_PX
