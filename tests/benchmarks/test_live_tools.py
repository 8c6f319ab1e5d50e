"""The tools of the live tests: they must see an exposed face, and must not see one elsewhere."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.live_clip import CodedClip, read_code, write_coded_clip, write_resized_clip
from benchmarks.live_exposure import judge_outputs
from benchmarks.live_proxy import RtspProxy, _Held, _whole
from benchmarks.live_tap import TransportTap
from benchmarks.video_io import decode, write_video
from engines.arrays import Float32Array, UInt8Array
from tests.media import Recipe, make_video

_BOX = np.array([[274.0, 107.0, 355.0, 224.0]], np.float32)


def _find(bgr: UInt8Array) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Knows where the one person stands."""
    return _BOX, np.zeros((1, 5, 2), np.float32), np.ones(1, np.float32)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> CodedClip:
    path = write_coded_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", 30)
    return CodedClip(path, _find)


def _covered(path: Path, *, from_frame: int = 0) -> Iterator[UInt8Array]:
    for number, frame in enumerate(decode(path)):
        canvas = frame.bgr.copy()
        if number >= from_frame:
            x1, y1, x2, y2 = _BOX[0].astype(int)
            canvas[y1:y2, x1:x2] = 90
        yield canvas


@pytest.mark.slow
def test_every_picture_tells_its_number(clip: CodedClip) -> None:
    assert [read_code(frame.bgr) for frame in decode(clip.path)] == list(range(30))


def test_a_damaged_number_is_not_read() -> None:
    assert read_code(np.full((360, 640, 3), 128, np.uint8)) is None
    assert read_code(np.full((360, 640, 3), 16, np.uint8)) is None
    assert read_code(np.full((360, 640, 3), 235, np.uint8)) is None


@pytest.mark.slow
def test_a_clip_that_is_only_encoded_anew_is_exposed_everywhere(
    clip: CodedClip, tmp_path: Path
) -> None:
    out = tmp_path / "out.mkv"
    frames = (frame.bgr for frame in decode(clip.path))
    write_video(out, frames, options={"preset": "ultrafast", "crf": "28"})
    found = judge_outputs(clip, [out])
    assert (found.frames, found.readable, found.faces) == (30, 30, 30)
    assert len(found.exposed) == 30


@pytest.mark.slow
@pytest.mark.parametrize("size_hw", [(240, 426), (540, 960)])
def test_a_clip_of_another_size_is_exposed_everywhere_as_well(
    clip: CodedClip, size_hw: tuple[int, int], tmp_path: Path
) -> None:
    out = write_resized_clip(tmp_path / "out.mp4", clip.path, size_hw, rate_hz=25)
    found = judge_outputs(clip, [out])
    assert (found.frames, found.readable, found.faces) == (30, 30, 30)
    assert len(found.exposed) == 30


@pytest.mark.slow
def test_a_single_uncovered_frame_is_found_also_when_its_number_is_gone(
    clip: CodedClip, tmp_path: Path
) -> None:
    out = tmp_path / "out.mkv"
    frames = list(_covered(clip.path))
    bare = [frame.bgr for frame in decode(clip.path)][12].copy()
    bare[-40:] = 128
    write_video(out, [*frames[:12], bare, *frames[13:]], options={"crf": "20"})
    found = judge_outputs(clip, [out])
    assert found.readable == 29
    assert found.exposed
    assert all("frame 13 " in text for text in found.exposed)


@pytest.mark.slow
def test_covered_faces_are_not_exposed_and_broken_files_are_named(
    clip: CodedClip, tmp_path: Path
) -> None:
    out, broken = tmp_path / "out.mkv", tmp_path / "broken.mkv"
    write_video(out, _covered(clip.path), options={"crf": "20"})
    broken.write_bytes(b"no video")
    found = judge_outputs(clip, [out, broken])
    assert found.exposed == ()
    assert found.faces == 30
    assert found.unplayable == ("broken.mkv",)


def _packet(number: int, *, marker: bool = True, stamp: int = 0) -> bytes:
    head = struct.pack(">BBHII", 0x80, 96 | (0x80 if marker else 0), number, stamp, 1)
    return head + bytes(100)


@pytest.fixture
def proxy() -> Iterator[RtspProxy]:
    with RtspProxy(1) as proxy:
        yield proxy


@pytest.mark.network
def test_packets_are_lost_and_reordered_but_never_made_up(proxy: RtspProxy) -> None:
    held, got = _Held(), list[bytes]()
    proxy.faults.loss_ratio = proxy.faults.reorder_ratio = 0.2
    sent = [_packet(number) for number in range(1000)]
    for packet in sent:
        proxy.relay(1, packet, held, got.append)
    assert set(got) <= set(sent)
    assert len(got) == len(set(got))
    assert 700 < len(got) < 900
    assert got != sorted(got, key=sent.index)


@pytest.mark.network
def test_time_stamps_are_shifted_and_wrap(proxy: RtspProxy) -> None:
    held, got = _Held(), list[bytes]()
    proxy.faults.time_shift = -3600 * 90000
    proxy.relay(1, _packet(1, stamp=5), held, got.append)
    assert struct.unpack_from(">I", got[0], 4)[0] == (5 - 3600 * 90000) % (1 << 32)
    assert got[0][8:] == _packet(1)[8:]


@pytest.mark.network
def test_corruption_changes_the_payload_only(proxy: RtspProxy) -> None:
    held, got = _Held(), list[bytes]()
    proxy.faults.corrupt_ratio = 1.0
    packet = _packet(1)
    proxy.relay(1, packet, held, got.append)
    assert got[0][:16] == packet[:16]
    assert got[0] != packet
    assert len(got[0]) == len(packet)


@pytest.mark.network
def test_a_nal_unit_may_get_another_kind(proxy: RtspProxy) -> None:
    held, got = _Held(), list[bytes]()
    proxy.faults.header_ratio = 1.0
    packet = _packet(1)
    for _ in range(20):
        proxy.relay(1, packet, held, got.append)
    assert all(one[:12] + one[13:] == packet[:12] + packet[13:] for one in got)
    assert all(one[12] != packet[12] for one in got)


def test_messages_and_packets_are_told_apart() -> None:
    answer = b"RTSP/1.0 200 OK\r\nContent-Length: 4\r\n\r\nbody"
    packet = b"$\x00" + struct.pack(">H", 5) + b"12345"
    data = answer + packet + answer
    sizes = []
    while data:
        sizes.append(_whole(data))
        data = data[sizes[-1] :]
    assert sizes == [len(answer), len(packet), len(answer)]
    cut = random.Random(1).randrange(1, len(answer))
    assert _whole(answer[:cut]) == 0
    assert _whole(packet[:3]) == 0


@pytest.mark.network
def test_the_tap_knows_when_the_last_packet_of_a_picture_came(tmp_path: Path) -> None:
    """Some big pictures, whose packets come one a millisecond."""
    recipe = Recipe(pts=tuple(range(5)), size_hw=(240, 320), options={"preset": "ultrafast"})
    data = make_video(tmp_path / "clip.ts", recipe).read_bytes()
    last = {}
    with TransportTap(9) as tap:
        for number, at in enumerate(range(0, len(data), 188)):
            packet = data[at : at + 188]
            tap.note(packet, float(number))
            if (packet[1] & 0x1F) << 8 | packet[2] == 256:  # the first stream of FFmpeg's
                last[len(tap.came_s)] = float(number)
    with av.open(str(tmp_path / "clip.ts")) as container:
        times = [packet.pts for packet in container.demux(video=0) if packet.size]
    assert list(tap.came_s) == times
    assert [tap.came_s[pts] for pts in tap.came_s] == [last[n] for n in range(1, 6)]


def test_a_picture_too_small_for_the_number_has_none() -> None:
    assert read_code(np.full((120, 64, 3), 128, np.uint8)) is None
    assert read_code(np.full((6, 640, 3), 128, np.uint8)) is None
