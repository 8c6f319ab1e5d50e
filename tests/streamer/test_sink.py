"""The sink: what it keeps of a video, container by container."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from streamer.sink import SinkOptions, open_sink
from streamer.source import open_source
from streamer.source_packets import digest_video
from streamer.video_digest import SegmentDigester
from streamer.video_verify import compare_segments
from tests.media import Content, Recipe, anonymized, make_video, pass_through, read_all

CONTAINERS = (".mp4", ".mov", ".mkv", ".ts")
# Matroska counts milliseconds, MPEG-TS counts 1/90000.
TOLERANCE_S = {
    ".mp4": Fraction(0),
    ".mov": Fraction(0),
    ".mkv": Fraction(1, 2000),
    ".ts": Fraction(1, 180000),
}


def _assert_same_times(before: Content, after: Content, suffix: str) -> None:
    assert len(before.times_s) == len(after.times_s)
    shift_s = after.times_s[0] - before.times_s[0]
    # MPEG-TS has no negative times, so all streams move together when sound starts before zero.
    assert shift_s == 0 or suffix == ".ts" or abs(shift_s) <= TOLERANCE_S[suffix]
    for one, other in zip(before.times_s, after.times_s, strict=True):
        assert abs(other - one - shift_s) <= 2 * TOLERANCE_S[suffix]


def _payloads(content: Content, kind: str = "audio") -> list[bytes]:
    found = []
    for stream in content.info.copy_streams:
        if stream.kind == kind:
            found += [packet.data for packet in content.copies[stream.index]]
    return found


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("start", [0, 21, 90000])
def test_uneven_times_come_out_as_they_went_in(tmp_path: Path, suffix: str, start: int) -> None:
    steps = (0, 3000, 6000, 15000, 195000, 196500, 199500)
    recipe = Recipe(pts=tuple(start + step for step in steps), time_base=Fraction(1, 90000))
    source = make_video(tmp_path / "a.mp4", recipe)
    assert not pass_through(source, tmp_path / f"b{suffix}")
    before, after = read_all(source), read_all(tmp_path / f"b{suffix}")
    _assert_same_times(before, after, suffix)


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("audio_start_s", [0.0, 0.6, -0.1])
def test_sound_is_copied_bit_for_bit_and_stays_in_time(
    tmp_path: Path, suffix: str, audio_start_s: float
) -> None:
    # MP2 packets are the same in every container; AAC gets another header in MPEG-TS.
    recipe = Recipe(audio_start_s=audio_start_s, audio_codec="mp2", pts=tuple(range(5, 20)))
    source = make_video(tmp_path / "a.mkv", recipe)
    pass_through(source, tmp_path / f"b{suffix}")
    before, after = read_all(source), read_all(tmp_path / f"b{suffix}")
    assert _payloads(before) == _payloads(after)
    _assert_same_times(before, after, suffix)
    stream = before.info.copy_streams[0].index
    first, copied = before.copies[stream][0], after.copies[after.info.copy_streams[0].index][0]
    assert first.pts is not None
    assert copied.pts is not None
    offset = before.times_s[0] - first.pts * first.time_base
    kept = after.times_s[0] - copied.pts * copied.time_base
    assert abs(offset - kept) <= Fraction(1, 900)
    assert suffix == ".mkv" or after.info.copy_streams[0].language in ("deu", None)


@pytest.mark.parametrize("suffix", [".mp4", ".mov", ".mkv"])
def test_aac_of_mpeg_ts_is_kept(tmp_path: Path, suffix: str) -> None:
    source = make_video(tmp_path / "a.ts", Recipe(audio_start_s=0.0))
    pass_through(source, tmp_path / f"b{suffix}")
    before, after = _payloads(read_all(source)), _payloads(read_all(tmp_path / f"b{suffix}"))
    # Only the header of 7 bytes in front of every packet is gone.
    assert [packet[7:] for packet in before] == after


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_turned_pictures_play_upright(tmp_path: Path, suffix: str) -> None:
    source = make_video(tmp_path / "a.mp4", Recipe(rotation_deg=90, sar=Fraction(4, 3)))
    notices = pass_through(source, tmp_path / f"b{suffix}")
    before, after = read_all(source), read_all(tmp_path / f"b{suffix}")
    if suffix == ".ts":
        assert after.info.rotation_deg == 0
        assert after.info.size_hw == before.info.size_hw[::-1]
        assert after.info.sar == Fraction(3, 4)
        turned = np.rot90(before.frames[0].pixels[:96])
        assert np.abs(after.frames[0].pixels[:128].astype(int) - turned).mean() < 4
        assert any("turned" in notice for notice in notices)
    else:
        assert after.info.rotation_deg == 90
        assert after.info.sar == Fraction(4, 3)
        assert not notices


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_colour_tags_range_and_picture_are_kept(tmp_path: Path, suffix: str) -> None:
    source = make_video(tmp_path / "a.mp4", Recipe(pix_fmt="yuvj420p", color=(2, 1, 1, 1)))
    pass_through(source, tmp_path / f"b{suffix}", options=SinkOptions(crf=5))
    before, after = read_all(source), read_all(tmp_path / f"b{suffix}")
    assert after.info.color == before.info.color
    for one, other in zip(before.frames, after.frames, strict=True):
        assert np.abs(one.pixels.astype(int) - other.pixels).mean() < 2


@pytest.mark.parametrize("size_hw", [(98, 130), (2, 64), (16, 16)])
def test_any_even_size_is_exact(tmp_path: Path, size_hw: tuple[int, int]) -> None:
    recipe = Recipe(codec="ffv1", size_hw=size_hw)
    source = make_video(tmp_path / "a.mkv", recipe)
    pass_through(source, tmp_path / "b.mp4", options=SinkOptions(crf=1))
    before, after = read_all(source), read_all(tmp_path / "b.mp4")
    assert after.info.picture_size_hw == size_hw
    assert np.abs(before.frames[0].pixels.astype(int) - after.frames[0].pixels).max() < 12


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_interlacing_is_kept(tmp_path: Path, suffix: str) -> None:
    recipe = Recipe(codec="mpeg2video", options={"flags": "+ildct+ilme", "field_order": "tt"})
    source = tmp_path / "a.ts"
    make_video(source, recipe)
    info = replace(read_all(source).info, field_order="tff")
    target = tmp_path / f"b{suffix}"
    with open_source(source) as opened, open_sink(target, info) as sink:
        for frame in opened.frames():
            sink.write(anonymized(frame))
    assert read_all(target).info.field_order == "tff"


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
def test_hevc(tmp_path: Path, suffix: str) -> None:
    source = make_video(tmp_path / "a.mp4")
    pass_through(source, tmp_path / f"b{suffix}", options=SinkOptions(codec="hevc"))
    after = read_all(tmp_path / f"b{suffix}")
    assert after.info.codec_name == "hevc"
    _assert_same_times(read_all(source), after, suffix)


def test_what_a_container_cannot_hold_is_named(tmp_path: Path) -> None:
    recipe = Recipe(audio_start_s=0.0, subtitles=True, chapters=True)
    source = make_video(tmp_path / "a.mkv", recipe)
    in_mp4 = pass_through(source, tmp_path / "b.mp4")
    assert [notice for notice in in_mp4 if "subtitle stream" in notice and "dropped" in notice]
    in_ts = pass_through(source, tmp_path / "b.ts")
    assert [notice for notice in in_ts if "chapters are dropped" in notice]
    in_mkv = pass_through(source, tmp_path / "b.mkv")
    assert not in_mkv
    after = read_all(tmp_path / "b.mkv")
    assert _payloads(after, "subtitle") == [b"hello"]
    assert [chapter.title for chapter in after.info.chapters] == ["part 0", "part 1"]
    assert len(read_all(tmp_path / "b.mp4").info.chapters) == 2


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
def test_places_and_people_in_the_header_are_dropped(tmp_path: Path, suffix: str) -> None:
    texts = {"title": "Yard", "artist": "A. Person", "comment": "home", "location": "+52+013/"}
    source = make_video(tmp_path / f"a{suffix}", Recipe(metadata=texts))
    notices = pass_through(source, tmp_path / f"b{suffix}")
    after = read_all(tmp_path / f"b{suffix}").info
    assert after.title == "Yard"
    assert not {"artist", "comment", "location"} & set(after.metadata)
    assert any("artist" in notice for notice in notices)
    assert not any("Person" in notice for notice in notices)
    pass_through(source, tmp_path / f"c{suffix}", options=SinkOptions(keep_metadata=True))
    assert read_all(tmp_path / f"c{suffix}").info.metadata["artist"] == "A. Person"


def test_a_start_before_zero_moves_everything(tmp_path: Path) -> None:
    recipe = Recipe(pts=tuple(range(-4, 8)), audio_start_s=-0.16, audio_codec="mp2")
    source = make_video(tmp_path / "a.ts", recipe)
    before = read_all(source)
    info = replace(before.info, start_pts=-14400, container_start_s=Fraction(-4, 25))
    with open_sink(tmp_path / "b.mp4", info) as sink:
        for number, frame in enumerate(before.frames):
            sink.write(anonymized(replace(frame, pts=-14400 + 3600 * number)))
    after = read_all(tmp_path / "b.mp4")
    assert after.times_s == [Fraction(number, 25) for number in range(12)]
    assert any("moved" in notice for notice in sink.notices)


@pytest.mark.parametrize("suffix", CONTAINERS)
@pytest.mark.parametrize("codec", ["h264", "hevc"])
def test_listener_hears_what_is_in_the_file(
    tmp_path: Path, suffix: str, codec: Literal["h264", "hevc"]
) -> None:
    source = make_video(tmp_path / "a.mp4", Recipe(pts=tuple(range(40)), time_base=Fraction(1, 25)))
    digester, listed = SegmentDigester(codec), []

    def hear(pts: int, packet: bytes, is_keyframe: bool) -> None:
        listed.append(digester.add(pts, packet, is_keyframe=is_keyframe))

    target = tmp_path / f"b{suffix}"
    with open_source(source) as opened:
        options = SinkOptions(codec=codec, keyframe_interval_s=0.4)
        with open_sink(target, opened.info, options=options) as sink:
            sink.listen(hear)
            for frame in opened.frames():
                sink.write(anonymized(frame))
    segments = [segment for segment in (*listed, digester.finish()) if segment is not None]
    # Key frames come when they are due, and no others: each costs as much as three more frames.
    assert [segment.frames for segment in segments] == [10, 10, 10, 10]
    found, time_base = digest_video(target)
    report = compare_segments(
        segments, found, log_time_base=opened.info.time_base, video_time_base=time_base
    )
    assert report.is_intact, report.words()


def test_one_frame_is_enough(tmp_path: Path) -> None:
    source = make_video(tmp_path / "a.mp4", Recipe(pts=(0,)))
    pass_through(source, tmp_path / "b.mp4")
    assert len(read_all(tmp_path / "b.mp4").frames) == 1
