from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.arrays import UInt8Array
from engines.errors import KeyLogFormatError
from streamer.sealed_patch import (
    Planes,
    cut_planes,
    decode_planes,
    encode_planes,
    even_rect,
    paste_planes_into,
    seal_region,
)


def make_planes(height: int, width: int, *, noise: float, seed: int = 0) -> Planes:
    rng = np.random.default_rng(seed)

    def plane(h: int, w: int) -> UInt8Array:
        rows, columns = np.mgrid[0:h, 0:w]
        smooth = 120 + 60 * np.sin(rows / 9) + 40 * np.cos(columns / 7)
        noisy = np.clip(smooth + noise * rng.standard_normal((h, w)), 0, 255)
        values: UInt8Array = noisy.astype(np.uint8)
        return values

    return Planes(
        plane(height, width), plane(height // 2, width // 2), plane(height // 2, width // 2)
    )


def psnr_db(a: UInt8Array, b: UInt8Array) -> float:
    error = float(np.mean((a.astype(np.float64) - b) ** 2))
    return 99.0 if error == 0 else 10 * np.log10(255**2 / error)


def worst_db(one: Planes, two: Planes) -> float:
    pairs = ((one.y, two.y), (one.u, two.u), (one.v, two.v))
    return min(psnr_db(a, b) for a, b in pairs)


@settings(deadline=None, max_examples=60)
@given(
    height=st.integers(1, 60).map(lambda n: 2 * n),
    width=st.integers(1, 60).map(lambda n: 2 * n),
    noise=st.sampled_from([0.0, 2.0, 20.0, 200.0]),
    is_lossless=st.booleans(),
)
def test_comes_back_close(height: int, width: int, noise: float, is_lossless: bool) -> None:
    planes = make_planes(height, width, noise=noise)
    payload = encode_planes(planes, is_lossless=is_lossless)
    back = decode_planes(payload, width=width, height=height)
    assert worst_db(planes, back) >= (99.0 if is_lossless else 42.0)


def test_quality_rises_until_it_is_enough_then_lossless() -> None:
    planes = make_planes(64, 64, noise=60.0)
    sizes = [len(encode_planes(planes, min_psnr_db=db)) for db in (20, 42, 50, 98)]
    assert sizes == sorted(sizes)
    exact = decode_planes(encode_planes(planes, min_psnr_db=98), width=64, height=64)
    assert worst_db(planes, exact) == 99.0


def test_pure_noise_is_never_larger_than_raw() -> None:
    rng = np.random.default_rng(0)
    y, u, v = (rng.integers(0, 256, s, np.uint8) for s in ((40, 40), (20, 20), (20, 20)))
    payload = encode_planes(Planes(y, u, v), is_lossless=True)
    assert len(payload) <= 1 + 40 * 60


def test_region_of_a_frame_comes_back_in_its_place() -> None:
    rng = np.random.default_rng(3)
    frame = rng.integers(0, 256, (72, 64), np.uint8)  # 64x48
    before = frame.copy()
    patch = seal_region(frame, (10, 20, 30, 16), track_id=4, pts=77, is_lossless=True)
    assert (patch.track_id, patch.pts, patch.x, patch.y) == (4, 77, 10, 20)
    canvas = np.zeros_like(frame)
    planes = decode_planes(patch.payload, width=patch.width, height=patch.height)
    paste_planes_into(canvas, planes, x=patch.x, y=patch.y)
    np.testing.assert_array_equal(frame, before)
    again = cut_planes(canvas, x=10, y=20, width=30, height=16)
    original = cut_planes(frame, x=10, y=20, width=30, height=16)
    assert worst_db(again, original) == 99.0
    assert int((canvas != 0).sum()) <= 30 * 16 * 3 // 2


@given(
    box=st.tuples(*[st.floats(-100, 200)] * 4),
    size=st.tuples(st.integers(1, 50), st.integers(1, 50)),
)
def test_even_rect_covers_the_box(
    box: tuple[float, float, float, float], size: tuple[int, int]
) -> None:
    width, height = 2 * size[0], 2 * size[1]
    rect = even_rect(box, width=width, height=height)
    if rect is None:
        return
    x, y, w, h = rect
    assert x % 2 == y % 2 == w % 2 == h % 2 == 0
    assert 0 <= x < x + w <= width
    assert 0 <= y < y + h <= height
    assert x <= max(box[0], 0)
    assert x + w >= min(box[2], width)
    assert y <= max(box[1], 0)
    assert y + h >= min(box[3], height)


@pytest.mark.parametrize("rect", [(1, 0, 4, 4), (0, 0, 3, 4), (-2, 0, 4, 4), (62, 0, 4, 4)])
def test_refuses_regions_outside_or_odd(rect: tuple[int, int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"even|inside"):
        seal_region(np.zeros((72, 64), np.uint8), rect, track_id=0, pts=0)


def gigapixel_png() -> bytes:
    head = struct.pack(">IIBBBBB", 60000, 60000, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + head
    return (
        b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(">I", zlib.crc32(chunk))
    )


def test_hostile_payloads_are_refused_before_decoding() -> None:
    good = encode_planes(make_planes(8, 8, noise=1))
    colour = cv2.imencode(".jpg", np.zeros((12, 8, 3), np.uint8))[1].tobytes()
    bad = [
        b"",
        b"\x00",
        b"\x00" + bytes(95),
        b"\x01",
        b"\x01\xff\xd8",
        good[:-40],
        b"\x02" + good[1:],
        b"\x03" + good[1:],
        b"\x02" + gigapixel_png(),
        b"\x01\xff\xd8" + b"\xff\xe0\x00\x00" * 50,
    ]
    for payload in bad:
        try:
            planes = decode_planes(payload, width=8, height=8)
        except KeyLogFormatError:
            continue
        assert payload == good[:-40]  # a JPEG cut short may still be shown, in its size
        assert planes.y.shape == (8, 8)
    assert decode_planes(b"\x01" + colour, width=8, height=8).y.shape == (8, 8)
    with pytest.raises(KeyLogFormatError):
        decode_planes(good, width=10, height=8)
