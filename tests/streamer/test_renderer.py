from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from engines.arrays import AnyArray
from engines.embedder import FaceEmbedder
from engines.errors import EngineRunError
from engines.face_mask import face_mask
from engines.generator import FaceGenerator
from engines.types import TensorSpec
from streamer.blender import Blender
from streamer.color import crop_rgb
from streamer.kept_pictures import KeptPictures
from streamer.key_log import Face, SealedPatch, Thumbnail
from streamer.likeness import LikenessGuard
from streamer.media_info import Notices
from streamer.plan import PlannedFace
from streamer.renderer import Renderer, is_replaced
from streamer.thumbnail import decode_thumbnail, reduced, thumbnail_place
from tests.factories import (
    CROP_PX,
    FakeEngine,
    generator_engine,
    inverting,
    make_frame,
    make_planned,
)

IDENTITY = {1: np.eye(512, dtype=np.float32)[0]}


def _renderer(
    answer: object = inverting,
    *,
    identities: Mapping[int, AnyArray] = IDENTITY,
    keeps: KeptPictures = KeptPictures.ORIGINALS,
    notices: Notices | None = None,
    guard: LikenessGuard | None = None,
) -> Renderer:
    engine = generator_engine(answer)  # type: ignore[arg-type]  # some answers raise
    return Renderer(
        FaceGenerator(engine),
        Blender(fallback="fill"),
        identities,
        guard=guard,
        keeps=keeps,
        notices=Notices() if notices is None else notices,
    )


def _failing(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    raise EngineRunError("device lost")


def _nan(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    crop = inputs["crop"]
    return {"face": np.full_like(crop, np.nan), "alpha": np.ones_like(crop[:, :1])}


def _copying(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    crop = inputs["crop"]
    return {"face": crop.copy(), "alpha": np.ones_like(crop[:, :1])}


def _transparent(inputs: Mapping[str, AnyArray]) -> dict[str, AnyArray]:
    crop = inputs["crop"]
    return {"face": -crop, "alpha": np.zeros_like(crop[:, :1])}


def test_a_face_is_replaced_logged_and_sealed() -> None:
    frame, face = make_frame(), make_planned()
    rendered = _renderer().render(frame, (face,))
    assert rendered.result.replaced == {1}
    logged, patch = rendered.records
    assert isinstance(logged, Face)
    assert logged.is_generated
    assert not logged.is_filled
    assert isinstance(patch, SealedPatch)
    assert (patch.x, patch.y, patch.width, patch.height) == rendered.result.rects_xywh_px[1]


def test_nothing_is_sealed_when_it_is_off() -> None:
    rendered = _renderer(keeps=KeptPictures.NOTHING).render(make_frame(), (make_planned(),))
    assert all(isinstance(record, Face) for record in rendered.records)


@pytest.mark.parametrize("planned", [make_planned(), make_planned(fill=True)])
@pytest.mark.parametrize("identities", [IDENTITY, {}])
def test_thumbnails_are_kept_of_drawn_and_of_covered_faces(
    identities: Mapping[int, AnyArray], planned: PlannedFace
) -> None:
    renderer = _renderer(keeps=KeptPictures.THUMBNAILS, identities=identities)
    frame = make_frame(value=90)
    frame.pixels[:120] = 150  # the upper half is brighter
    logged, kept = renderer.render(frame, (planned,)).records
    assert isinstance(logged, Face)
    assert logged.is_generated == (bool(identities) and planned.action == "replace")
    assert isinstance(kept, Thumbnail)
    assert (kept.track_id, kept.pts) == (logged.track_id, logged.pts)
    place = thumbnail_place(logged, CROP_PX)
    original = crop_rgb(frame.pixels, frame.color, place, CROP_PX)
    error = decode_thumbnail(kept.payload).astype(int) - reduced(original)
    assert original.std() > 20
    assert np.abs(error).mean() < 3


@pytest.mark.parametrize("answer", [_failing, _nan, _copying, _transparent])
def test_a_broken_generator_means_a_covered_face(answer: object) -> None:
    notices = Notices()
    frame = make_frame()
    rendered = _renderer(answer, notices=notices).render(frame, (make_planned(),))
    assert rendered.result.filled == {1}
    assert rendered.result.frame.pixels[100:140, 140:180].std() == 0
    assert bool(list(notices)) == (answer in (_failing, _nan))


def test_a_face_without_identity_is_covered() -> None:
    rendered = _renderer(identities={}).render(make_frame(), (make_planned(),))
    assert rendered.result.filled == {1}


def test_a_frame_without_faces_passes_as_it_is() -> None:
    frame = make_frame()
    rendered = _renderer().render(frame, ())
    assert rendered.records == ()
    assert np.array_equal(rendered.result.frame.pixels, frame.pixels)


def test_is_replaced_knows_a_copy_from_a_new_face() -> None:
    rng = np.random.default_rng(1)
    crop = rng.integers(0, 255, (CROP_PX, CROP_PX, 3), np.uint8)
    mask = face_mask(CROP_PX)
    assert is_replaced(crop, 255 - crop, mask)
    assert not is_replaced(crop, crop, mask)
    noisy = np.clip(crop + rng.integers(-2, 3, crop.shape), 0, 255).astype(np.uint8)
    assert not is_replaced(crop, noisy, mask)
    assert not is_replaced(crop, 255 - crop, mask * 0.3)
    assert not is_replaced(crop, 255 - crop, np.full_like(mask, np.nan))


def _reader(direction: int) -> FaceEmbedder:
    """An encoder that says the same of every face."""
    row = np.eye(512, dtype=np.float32)[direction]
    engine = FakeEngine(
        (TensorSpec("x", (None, 3, 112, 112), "float32"),),
        (TensorSpec("y", (None, 512), "float32"),),
        lambda feeds: {"y": np.repeat(row[None], len(feeds["x"]), axis=0)},
    )
    return FaceEmbedder(engine)


@pytest.mark.parametrize(("direction", "is_covered"), [(0, True), (1, False)])
def test_a_face_that_still_looks_like_the_person_is_covered(
    direction: int, is_covered: bool
) -> None:
    guard = LikenessGuard(_reader(direction), IDENTITY, most_alike=0.35)
    result = _renderer(guard=guard).render(make_frame(), (make_planned(),)).result
    assert (result.filled == {1}) == is_covered
