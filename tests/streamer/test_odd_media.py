"""Every file of the odd media goes through source and sink as their README says."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from engines.errors import SourceOpenError
from streamer.sink import SinkOptions
from tests.media import Content, pass_through, read_all

pytestmark = [pytest.mark.shared, pytest.mark.slow]


@dataclass(frozen=True)
class Odd:
    """What the README promises for a file.

    Attributes:
        frames: frames that can be decoded; 0 for a clean error.
        says: a word that the error or one of the notices holds.
        start_s: time of the first frame.
    """

    frames: int = 68
    says: str | None = None
    start_s: float | None = 0.0
    suffix: str = ".mp4"


ODD = {
    "zero_bytes.mp4": Odd(0, "empty"),
    "text_file.mp4": Odd(0, "not a video"),
    "random_bytes.mp4": Odd(0, "not a video"),
    "hls_playlist_named.mp4": Odd(0, "playlist"),
    "no_moov.mp4": Odd(0, "moov"),
    "truncated_faststart.mp4": Odd(42, "ends early"),
    "corrupted_middle.mp4": Odd(68, "damaged"),
    "corrupted_packets.mp4": Odd(61, "7 damaged packets"),
    "ts_lost_packets.ts": Odd(65, "damaged", 132000 / 90000),
    "starts_mid_gop.ts": Odd(53, None, 177000 / 90000),
    "unknown_codec.mp4": Odd(0, "zzzz"),
    "encrypted_cenc.mp4": Odd(0, "encrypted"),
    "audio_only.mp4": Odd(0, "no video stream"),
    "audio_with_cover.mp4": Odd(0, "cover"),
    "vfr_gap.mp4": Odd(),
    "timestamp_jump.mkv": Odd(),
    "pts_wrap.ts": Odd(68, "moved", None),
    "raw_no_pts.h264": Odd(68, "30 frames a second"),
    "edit_list_trim.mp4": Odd(45),
    "bframes_neg_cts.mp4": Odd(),
    "audio_late_600ms.mp4": Odd(),
    "video_starts_late.mp4": Odd(start_s=0.5),
    "fragmented.mp4": Odd(start_s=1024 / 15360),
    "single_frame.mp4": Odd(1),
    "rotate90.mp4": Odd(),
    "rotate180.mp4": Odd(),
    "sar_4_3.mp4": Odd(),
    "odd_321x243_mpeg4.mp4": Odd(68, "padded"),
    "odd_321x243_444.mp4": Odd(68, "padded"),
    "resolution_change.ts": Odd(66, "size changes", 132000 / 90000),
    "resolution_change.h264": Odd(66, "size changes"),
    "tiny_16x16.mp4": Odd(15),
    "one_pixel_high.mkv": Odd(9, "padded"),
    "hevc_10bit_hdr.mp4": Odd(68, "PQ"),
    "yuv444.mp4": Odd(68, "4:2:0"),
    "grayscale_h264.mp4": Odd(),
    "gray_ffv1.mkv": Odd(12),
    "full_range_bt709.mp4": Odd(),
    "interlaced_tff.ts": Odd(56, None, 129600 / 90000),
    "vp9_opus.webm": Odd(start_s=0.007),
    "av1.mp4": Odd(45),
    "alpha_vp9.webm": Odd(30, "transparency"),
    "mjpeg_pcm.avi": Odd(36),
    "anim.gif": Odd(12, "transparency"),
    "prores_timecode.mov": Odd(9, "timecode"),
    "two_audio_subs_chapters.mkv": Odd(68, "subtitle", 0.021),
    "two_audio_subs_chapters.mp4": Odd(68, None, 336 / 16000),
    "two_video_streams.mkv": Odd(47, "2 videos", 0.021),
    "cover_art_face.mp4": Odd(68, "cover"),
    "gps_metadata.mp4": Odd(68, "location"),
}


def test_every_file_is_listed(shared: Path) -> None:
    there = {path.name for path in (shared / "odd_media").iterdir()} - {"README.md"}
    assert there == set(ODD)


@pytest.mark.parametrize("suffix", [".mp4", ".mkv"])
@pytest.mark.parametrize("name", ODD)
def test_odd(shared: Path, tmp_path: Path, name: str, suffix: str) -> None:
    odd, source = ODD[name], shared / "odd_media" / name
    target = tmp_path / f"out{suffix}"
    if not odd.frames:
        with pytest.raises(SourceOpenError, match=odd.says) as caught:
            pass_through(source, target)
        assert name in str(caught.value)
        assert "\n" not in str(caught.value)
        assert not list(tmp_path.iterdir())
        return
    # Fine quality: 16x16 pixels at the usual one look different without anything being wrong.
    notices = pass_through(source, target, options=SinkOptions(crf=8))
    before, after = read_all(source), read_all(target)
    assert len(before.frames) == len(after.frames) == odd.frames
    if odd.says is not None and (odd.says != "subtitle" or suffix == ".mp4"):
        assert any(odd.says in notice for notice in notices)
    if odd.start_s is not None:
        assert float(after.times_s[0]) == pytest.approx(odd.start_s, abs=0.0006)
    _assert_like(before, after, suffix)


def _assert_like(before: Content, after: Content, suffix: str) -> None:
    shift_s = after.times_s[0] - before.times_s[0]
    # Matroska rounds to milliseconds, one way at the start and the other way later.
    most_s = Fraction(1, 900) if suffix == ".mkv" else Fraction(0)
    for one, other in zip(before.times_s, after.times_s, strict=True):
        assert abs(other - one - shift_s) <= most_s
    for name in ("sar", "display_matrix", "color", "field_order", "size_hw", "title"):
        assert getattr(before.info, name) == getattr(after.info, name), name
    assert len(before.info.chapters) == len(after.info.chapters)
    for one_frame, other_frame in zip(before.frames, after.frames, strict=True):
        assert np.abs(one_frame.pixels.astype(int) - other_frame.pixels).mean() < 4
    _assert_sound(before, after, shift_s)


def _assert_sound(before: Content, after: Content, shift_s: Fraction) -> None:
    old = [stream.index for stream in before.info.copy_streams if stream.kind == "audio"]
    new = [stream.index for stream in after.info.copy_streams if stream.kind == "audio"]
    assert len(old) == len(new)
    for one, other in zip(old, new, strict=True):
        packets, copied = before.copies[one], after.copies[other]
        if packets[0].data[:2] == b"\xff\xf1":  # the header of AAC in MPEG-TS goes
            kept = [p.data[7:] for p in packets if p.data[:2] == b"\xff\xf1"]
        else:
            kept = [packet.data for packet in packets]
        assert [packet.data for packet in copied] == kept
        assert packets[0].pts is not None
        assert copied[0].pts is not None
        moved = copied[0].pts * copied[0].time_base - packets[0].pts * packets[0].time_base
        assert abs(moved - shift_s) <= Fraction(1, 900)
