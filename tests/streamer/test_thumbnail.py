"""Thumbnails: coded small, decoded with care, and what a face held to one looks like."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from engines.arrays import UInt8Array
from engines.errors import KeyLogFormatError
from streamer.config import KeyLogConfig
from streamer.kept_pictures import KeptPictures, kept_pictures
from streamer.thumbnail import (
    EDGE_PX,
    decode_thumbnail,
    encode_thumbnail,
    enlarged,
    held_to,
    reduced,
)

SIZE = 160


def picture(seed: int) -> UInt8Array:
    """Something as smooth as a face, in colour."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 220, (8, 8, 3), np.uint8)
    large: UInt8Array = cv2.resize(coarse, (SIZE, SIZE), interpolation=cv2.INTER_CUBIC)
    return large


def test_a_thumbnail_is_small_and_close() -> None:
    crop = picture(1)
    payload = encode_thumbnail(crop)
    small = decode_thumbnail(payload)
    assert len(payload) < 2500
    assert small.shape == (EDGE_PX, EDGE_PX, 3)
    assert np.abs(small.astype(int) - reduced(crop)).mean() < 6
    assert np.abs(enlarged(small, SIZE).astype(int) - crop).mean() < 8


def test_colours_keep_their_order() -> None:
    red = np.zeros((SIZE, SIZE, 3), np.uint8)
    red[..., 0] = 200
    assert decode_thumbnail(encode_thumbnail(red))[..., 0].mean() > 180


def test_a_held_face_has_the_coarse_parts_of_the_thumbnail_and_its_own_fine_ones() -> None:
    original, other = picture(2), picture(3)
    fine = np.random.default_rng(4).integers(-12, 13, other.shape)
    face = np.clip(other.astype(int) + fine, 0, 255).astype(np.uint8)
    held = held_to(reduced(original), face)
    assert held.dtype == np.uint8
    before, after = (np.abs(x.astype(int) - original).mean() for x in (face, held))
    assert after < before / 4
    kept = np.corrcoef((held.astype(int) - original).ravel(), fine.ravel())[0, 1]
    assert kept > 0.8


def test_a_face_that_fits_its_thumbnail_stays_as_it_is() -> None:
    face = picture(5)
    assert np.abs(held_to(reduced(face), face).astype(int) - face).max() <= 1


@pytest.mark.parametrize("size", [(EDGE_PX, EDGE_PX + 1), (4000, 4000), (1, 1)])
def test_a_picture_of_another_size_is_refused_before_it_is_decoded(size: tuple[int, int]) -> None:
    done, data = cv2.imencode(".jpg", np.zeros((*size, 3), np.uint8))
    assert done
    with pytest.raises(KeyLogFormatError, match="claims to be"):
        decode_thumbnail(data.tobytes())


@pytest.mark.parametrize("payload", [b"", b"\x00" * 40, b"\xff\xd8\xff"])
def test_what_is_no_picture_is_refused(payload: bytes) -> None:
    with pytest.raises(KeyLogFormatError):
        decode_thumbnail(payload)


def test_a_picture_that_breaks_off_is_refused() -> None:
    payload = encode_thumbnail(picture(6))
    head = payload.index(b"\xff\xda")  # up to the scan, so its size can still be read
    with pytest.raises(KeyLogFormatError, match="cannot be decoded"):
        decode_thumbnail(payload[:head])


@pytest.mark.parametrize(
    ("log", "kept"),
    [
        (KeyLogConfig(), KeptPictures.ORIGINALS),
        (KeyLogConfig(lossless=True), KeptPictures.LOSSLESS),
        (KeyLogConfig(seal=False), KeptPictures.THUMBNAILS),
        (KeyLogConfig(seal=False, thumbnails=False), KeptPictures.NOTHING),
        (KeyLogConfig(seal=False, assisted=False), KeptPictures.NOTHING),
        (KeyLogConfig(irreversible=True), KeptPictures.NOTHING),
    ],
)
def test_what_a_log_keeps(log: KeyLogConfig, kept: KeptPictures) -> None:
    assert kept_pictures(log) is kept
