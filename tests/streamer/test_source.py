"""The source on ordinary and unusual videos."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engines.errors import SourceOpenError
from streamer.frames import CopiedPacket, Frame
from streamer.source import SourceOptions, open_source
from tests.media import Recipe, make_video, pattern, read_all


def test_frames_have_the_times_and_the_picture_of_the_file(tmp_path: Path) -> None:
    content = read_all(make_video(tmp_path / "a.mp4"))
    assert content.times_s == [Fraction(n, 25) for n in range(12)]
    assert [frame.index for frame in content.frames] == list(range(12))
    assert content.info.size_hw == (96, 128)
    assert content.stats.frames == content.stats.packets == 12
    assert not content.notices
    # The moving square is bright in the frame where it should be.
    for index in (0, 5, 11):
        luma = content.frames[index].pixels[:96]
        assert luma[24:40, 4 * index + 2 : 4 * index + 14].mean() > 200


def test_b_frames_come_in_display_order(tmp_path: Path) -> None:
    content = read_all(make_video(tmp_path / "a.mp4", Recipe(b_frames=3)))
    assert content.times_s == [Fraction(n, 25) for n in range(12)]


def test_uneven_times_are_kept(tmp_path: Path) -> None:
    pts = (0, 3000, 6000, 15000, 195000, 196500)
    recipe = Recipe(pts=pts, time_base=Fraction(1, 90000))
    content = read_all(make_video(tmp_path / "a.mp4", recipe))
    assert [frame.pts for frame in content.frames] == list(pts)


def test_both_passes_give_the_same_frames(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", Recipe(b_frames=2, audio_start_s=0.0))
    with open_source(path) as source:
        first = list(source.frames())
    with open_source(path) as source:
        second = [item for item in source if isinstance(item, Frame)]
    assert len(first) == len(second) == 12
    for one, other in zip(first, second, strict=True):
        assert (one.pts, one.index, one.time_base) == (other.pts, other.index, other.time_base)
        assert np.array_equal(one.pixels, other.pixels)


def test_sound_and_subtitles_come_along_but_no_picture(tmp_path: Path) -> None:
    recipe = Recipe(audio_start_s=0.1, subtitles=True, chapters=True)
    content = read_all(make_video(tmp_path / "a.mkv", recipe))
    kinds = {stream.index: stream.kind for stream in content.info.copy_streams}
    assert sorted(kinds.values()) == ["audio", "subtitle"]
    assert set(content.copies) == set(kinds)
    assert content.info.copy_streams[0].language == "deu"
    assert [chapter.title for chapter in content.info.chapters] == ["part 0", "part 1"]
    sound = content.copies[content.info.copy_streams[0].index]
    assert sound[0].pts is not None
    assert float(sound[0].pts * sound[0].time_base) == pytest.approx(0.1, abs=0.025)


def test_cover_pictures_are_dropped_and_named(tmp_path: Path) -> None:
    content = read_all(make_video(tmp_path / "a.mp4", Recipe(cover=True)))
    assert len(content.frames) == 12
    assert not content.copies
    assert any("cover" in notice for notice in content.notices)


@pytest.mark.parametrize("angle_deg", [90, 180, 270])
def test_rotation_is_told(tmp_path: Path, angle_deg: int) -> None:
    content = read_all(make_video(tmp_path / "a.mp4", Recipe(rotation_deg=angle_deg)))
    assert content.info.rotation_deg == angle_deg
    assert content.info.display_matrix is not None


@pytest.mark.parametrize("pix_fmt", ["yuv420p", "yuv444p"])
def test_odd_sizes_are_padded_with_the_edge(tmp_path: Path, pix_fmt: str) -> None:
    recipe = Recipe(codec="ffv1", pix_fmt=pix_fmt, size_hw=(45, 63))
    content = read_all(make_video(tmp_path / "a.mkv", recipe))
    assert content.info.picture_size_hw == (45, 63)
    assert content.info.size_hw == (46, 64)
    pixels = content.frames[0].pixels
    assert np.array_equal(pixels[45], pixels[44])
    assert np.array_equal(pixels[:46, 63], pixels[:46, 62])
    assert any("odd picture size 63x45" in notice for notice in content.notices)


def test_height_not_a_multiple_of_four(tmp_path: Path) -> None:
    content = read_all(make_video(tmp_path / "a.mp4", Recipe(size_hw=(98, 130))))
    assert content.frames[0].size_hw == (98, 130)


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "suffix"),
    [
        ("ffv1", "yuv420p10le", ".mkv"),
        ("ffv1", "yuv422p", ".mkv"),
        ("ffv1", "yuv444p", ".mkv"),
        ("ffv1", "bgra", ".mkv"),
        ("ffv1", "gray", ".mkv"),
        ("libx264", "yuvj420p", ".mp4"),
    ],
)
def test_other_pixel_formats_keep_their_colours(
    tmp_path: Path, codec: str, pix_fmt: str, suffix: str
) -> None:
    # swscale writes gray in full range, so it must be tagged like that.
    color = (2, 2, 2, 2) if pix_fmt == "gray" else Recipe.color
    recipe = Recipe(codec=codec, pix_fmt=pix_fmt, color=color)
    content = read_all(make_video(tmp_path / f"a{suffix}", recipe))
    frame = content.frames[0]
    gray = pattern(0, (96, 128)).astype(float) @ (0.299, 0.587, 0.114)
    if frame.color.matrix == 1:
        gray = pattern(0, (96, 128)).astype(float) @ (0.2126, 0.7152, 0.0722)
    luma = frame.pixels[:96].astype(float)
    luma = luma if frame.color.full_range else (luma - 16) * 255 / 219
    assert np.abs(luma - gray).mean() < 3
    if pix_fmt == "gray":
        assert (frame.pixels[96:] == 128).all()
    stated = any("8-bit" in notice for notice in content.notices)
    assert stated == (pix_fmt not in ("gray", "yuvj420p"))


@pytest.mark.slow  # swscale computes its table of colours for seconds
def test_high_dynamic_range_is_mapped_and_said(tmp_path: Path) -> None:
    recipe = Recipe(codec="ffv1", pix_fmt="yuv420p10le", color=(1, 9, 9, 16))
    content = read_all(make_video(tmp_path / "a.mkv", recipe))
    color = content.frames[0].color
    assert (color.matrix, color.primaries, color.transfer) == (1, 1, 1)
    assert any("PQ" in notice for notice in content.notices)


def test_colour_tags_and_range_are_kept(tmp_path: Path) -> None:
    recipe = Recipe(color=(2, 1, 1, 1), pix_fmt="yuvj420p")
    color = read_all(make_video(tmp_path / "a.mp4", recipe)).frames[0].color
    assert (color.full_range, color.matrix, color.primaries, color.transfer) == (True, 1, 1, 1)


def test_a_stream_without_times_gets_the_stated_rate(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.h264", format_name="h264")
    content = read_all(path)
    assert content.times_s == [Fraction(n, 25) for n in range(12)]
    assert any("25 frames a second" in notice for notice in content.notices)
    faster = read_all(path, SourceOptions(rate_hz=Fraction(30000, 1001)))
    assert faster.times_s[-1] == Fraction(11 * 1001, 30000)


def test_resolution_change_is_scaled_to_the_first_size(tmp_path: Path) -> None:
    small = make_video(tmp_path / "a.h264", format_name="h264")
    large = make_video(tmp_path / "b.h264", Recipe(size_hw=(192, 256)), format_name="h264")
    joined = tmp_path / "joined.h264"
    joined.write_bytes(small.read_bytes() + large.read_bytes())
    content = read_all(joined)
    assert len(content.frames) == 24
    assert {frame.size_hw for frame in content.frames} == {(96, 128)}
    assert any("size changes" in notice for notice in content.notices)


def test_a_clock_that_starts_again_goes_on(tmp_path: Path) -> None:
    recipe = Recipe(pts=tuple(range(100, 140)), audio_start_s=4.0)
    one = make_video(tmp_path / "a.ts", recipe)
    joined = tmp_path / "joined.ts"
    joined.write_bytes(one.read_bytes() * 2)
    content = read_all(joined)
    steps = np.diff([frame.pts for frame in content.frames])
    assert len(content.frames) == 80
    assert (steps > 0).all()
    assert max(steps) * content.info.time_base < 1
    assert any("clock steps back" in notice for notice in content.notices)


def test_damaged_packets_are_skipped_and_counted(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4", Recipe(pts=tuple(range(30)), options={"g": "1"}))
    good = read_all(path)
    data = bytearray(path.read_bytes())
    start = data.index(b"mdat") + 4
    middle = start + (len(data) - start) // 4
    data[middle : middle + 1500] = b"\xff" * 1500
    path.write_bytes(data)
    content = read_all(path)
    assert content.stats.lost_packets + content.stats.damaged_frames > 0
    assert len(content.frames) >= 20
    assert set(content.times_s) <= set(good.times_s)
    assert any("damaged" in notice for notice in content.notices)


def test_a_file_that_ends_early_says_so(tmp_path: Path) -> None:
    recipe = Recipe(pts=tuple(range(50)))
    path = make_video(tmp_path / "a.mkv", recipe)
    front = tmp_path / "front.mp4"
    _remux_with_the_index_in_front(path, front)
    front.write_bytes(front.read_bytes()[: int(front.stat().st_size * 0.6)])
    content = read_all(front)
    assert 0 < len(content.frames) < 50
    assert content.stats.ends_early
    assert any("ends early" in notice for notice in content.notices)


def _remux_with_the_index_in_front(path: Path, target: Path) -> None:
    import av

    options = {"movflags": "faststart"}
    with av.open(str(path)) as source, av.open(str(target), "w", options=options) as copy:
        stream = copy.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(source.streams.video[0]):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"some words, but no pictures\n" * 20, "not a video"),
        (b"\x00\x00\x00\x20ftypisom" + b"\x00" * 20 + b"\x00\x00\x10\x00mdat" + b"x" * 999, "moov"),
        (b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/segment.ts\n", "playlist"),
        (b"ffconcat version 1.0\nfile other.mp4\n", "not a video"),
    ],
)
def test_what_is_no_video_is_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(content)
    with pytest.raises(SourceOpenError, match=reason), open_source(path):
        pass


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match="No such file"), open_source(tmp_path / "no.mp4"):
        pass
    with pytest.raises(SourceOpenError, match="not a regular file"), open_source(tmp_path):
        pass


def test_sound_without_a_picture_is_refused(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mkv", Recipe(audio_start_s=0.0))
    only_sound = tmp_path / "sound.mka.mkv"
    import av

    with av.open(str(path)) as source, av.open(str(only_sound), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            if packet.size:
                packet.stream = stream
                copy.mux(packet)
    with pytest.raises(SourceOpenError, match="no video stream"), open_source(only_sound):
        pass


def test_a_name_with_a_colon_is_a_file(tmp_path: Path) -> None:
    path = make_video(tmp_path / "a.mp4").rename(tmp_path / "http:x ü.mp4")
    assert len(read_all(path).frames) == 12


def test_errors_of_urls_hide_the_password() -> None:
    url = "rtsp://admin:hunter2@127.0.0.1:9/stream"
    options = SourceOptions(mode="live", open_timeout_s=2.0)
    with pytest.raises(SourceOpenError) as caught, open_source(url, options=options):
        pass
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)
    assert caught.value.__suppress_context__
    assert caught.value.__context__ is None  # FFmpeg's own error holds the whole URL


def test_copied_packets_are_never_video(tmp_path: Path) -> None:
    recipe = Recipe(audio_start_s=0.0, cover=True)
    with open_source(make_video(tmp_path / "a.mp4", recipe)) as source:
        copies = [item for item in source if isinstance(item, CopiedPacket)]
    assert {packet.kind for packet in copies} == {"audio"}
