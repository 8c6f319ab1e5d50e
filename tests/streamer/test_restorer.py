"""Assisted recovery: the identity draws, the thumbnail holds it to what was there."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import cv2
import numpy as np
import pytest

from engines.arrays import Float32Array, UInt8Array
from engines.generator import FaceGenerator
from streamer.color import crop_rgb, paste_rgb_into
from streamer.frames import Frame
from streamer.key_log import Face, SealedPatch, Thumbnail
from streamer.recovery_log import PlacedRecords
from streamer.recovery_placement import Placed
from streamer.restorer import RecoveredFrame, Restorer, pictured_tracks
from streamer.sealed_patch import seal_region
from streamer.thumbnail import encode_thumbnail, thumbnail_place
from tests.factories import CROP_PX, generator_engine, inverting, make_frame

MATRIX = np.array([[0.5, 0.0, 100.0], [0.0, 0.5, 60.0]], np.float64)
RECT = (100, 60, 80, 80)
KNOWN: Mapping[int, Float32Array] = {1: np.eye(512, dtype=np.float32)[0]}
INNER = slice(60, 100), slice(60, 100)


def original() -> UInt8Array:
    coarse = np.random.default_rng(8).integers(60, 200, (6, 6, 3), np.uint8)
    large: UInt8Array = cv2.resize(coarse, (CROP_PX, CROP_PX), interpolation=cv2.INTER_CUBIC)
    return large


def frames() -> tuple[Frame, Frame]:
    """The original frame, and the anonymised one."""
    anonymised = make_frame(value=120)
    before = make_frame(value=120)
    mask = np.ones((CROP_PX, CROP_PX), np.float32)
    paste_rgb_into(before.pixels, before.color, original(), mask, MATRIX)
    return before, anonymised


def records(
    *,
    is_generated: bool = True,
    track_id: int = 1,
    thumbnail: bool = False,
    patch: SealedPatch | None = None,
) -> PlacedRecords:
    box = np.array([100, 60, 180, 140], np.float32)
    face = Face(track_id, 0, box, MATRIX, is_generated=is_generated, is_filled=not is_generated)
    small = (Thumbnail(track_id, 0, encode_thumbnail(original())),) if thumbnail else ()
    placed = Placed(Fraction(0), "by time")
    return PlacedRecords((face,), () if patch is None else (patch,), placed, thumbnails=small)


def error(recovered: RecoveredFrame) -> float:
    """Mean distance to the original in the middle of the face."""
    crop = crop_rgb(recovered.pixels, recovered.color, MATRIX, CROP_PX)
    return float(np.abs(crop[INNER].astype(int) - original()[INNER]).mean())


def restorer(identities: Mapping[int, Float32Array] = KNOWN) -> Restorer:
    return Restorer(FaceGenerator(generator_engine(inverting)), identities)


@pytest.mark.parametrize("is_generated", [True, False])
@pytest.mark.parametrize("identities", [KNOWN, {}])
def test_a_thumbnail_brings_the_face_back(
    identities: Mapping[int, Float32Array], *, is_generated: bool
) -> None:
    _, frame = frames()
    found = records(is_generated=is_generated, thumbnail=True)
    subject = restorer(identities)
    assert [face.track_id for face in subject.wanted(found.faces, pictured_tracks(found))] == [1]
    assert error(subject.assist(frame, found)) < 8


def test_without_a_thumbnail_the_identity_is_all() -> None:
    _, frame = frames()
    recovered = restorer().assist(frame, records())
    assert error(recovered) > 15
    assert not np.array_equal(recovered.pixels, frame.pixels)
    unknown = restorer({}).assist(frame, records())
    assert np.array_equal(unknown.pixels, frame.pixels)


@pytest.mark.parametrize("is_generated", [True, False])
def test_sealed_originals_serve_as_thumbnails(*, is_generated: bool) -> None:
    before, frame = frames()
    patch = seal_region(before.pixels, RECT, track_id=1, pts=0)
    by_patch = restorer().assist(frame, records(is_generated=is_generated, patch=patch))
    by_thumbnail = restorer().assist(frame, records(is_generated=is_generated, thumbnail=True))
    assert error(by_patch) < 8
    assert np.abs(by_patch.pixels.astype(int) - by_thumbnail.pixels).mean() < 1


def test_a_covered_face_comes_back_wherever_its_box_is() -> None:
    before, frame = frames()
    box = np.array([40, 30, 90, 110], np.float32)  # nothing that a transform says
    face = Face(1, 0, box, np.eye(2, 3), is_filled=True)
    crop = crop_rgb(before.pixels, before.color, thumbnail_place(face, CROP_PX), CROP_PX)
    small = Thumbnail(1, 0, encode_thumbnail(crop))
    placed = Placed(Fraction(0), "by time")
    recovered = restorer().assist(frame, PlacedRecords((face,), (), placed, thumbnails=(small,)))
    there = slice(32, 108), slice(42, 88)
    wanted = before.pixels[: before.size_hw[0]][there].astype(int)
    assert np.abs(recovered.pixels[: frame.size_hw[0]][there] - wanted).mean() < 4
    assert np.array_equal(recovered.pixels[:, 100:], frame.pixels[:, 100:])


def test_generative_recovery_looks_at_no_thumbnail() -> None:
    _, frame = frames()
    found = records(thumbnail=True)
    assert error(restorer().generate(frame, found.faces)) > 15
    covered = records(is_generated=False, thumbnail=True)
    recovered = restorer().generate(frame, covered.faces)
    assert np.array_equal(recovered.pixels, frame.pixels)
