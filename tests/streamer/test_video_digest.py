from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.errors import SourceOpenError
from streamer.source_packets import digest_video
from streamer.video_digest import SegmentDigester, coded_slices, nal_length_size
from streamer.video_verify import VideoReport, compare_segments

FRAMES = 40


def encode(path: Path, *, codec: str = "libx264", seed: int = 0) -> Path:
    """A moving pattern, a key frame every 8 frames."""
    rng = np.random.default_rng(seed)
    base = rng.integers(0, 255, (64, 64, 3), np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=25, options={"g": "8", "sc_threshold": "0"})
        assert isinstance(stream, av.VideoStream)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        for number in range(FRAMES):
            frame = av.VideoFrame.from_ndarray(np.roll(base, number, axis=1), format="rgb24")
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def remux(source: Path, target: Path, *, keep: Callable[[int], bool] = lambda _group: True) -> Path:
    """Copy packets into another container; leaves out groups of pictures that are not kept."""
    with av.open(str(source)) as inside, av.open(str(target), "w") as outside:
        stream = inside.streams.video[0]
        out = outside.add_stream_from_template(stream)
        group = -1
        for packet in inside.demux(stream):
            if not packet.size:
                continue
            group += packet.is_keyframe
            if keep(group):
                packet.stream = out
                outside.mux(packet)
    return target


def verify(original: Path, other: Path) -> VideoReport:
    listed, log_base = digest_video(original)
    found, base = digest_video(other)
    return compare_segments(listed, found, log_time_base=log_base, video_time_base=base)


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return encode(tmp_path_factory.mktemp("video") / "a.mp4")


def test_segments_are_groups_of_pictures(video: Path) -> None:
    segments, _ = digest_video(video)
    assert [segment.frames for segment in segments] == [8] * 5
    assert [segment.segment for segment in segments] == list(range(5))
    assert len({segment.digest for segment in segments}) == 5


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "ts"])
def test_other_containers_change_nothing(video: Path, tmp_path: Path, suffix: str) -> None:
    report = verify(video, remux(video, tmp_path / f"b.{suffix}"))
    assert report.is_intact, report.words()
    assert "nothing was changed" in " ".join(report.words())


@pytest.mark.parametrize("codec", ["libx265", "mpeg4"])
def test_other_codecs_are_covered(tmp_path: Path, codec: str) -> None:
    video = encode(tmp_path / "a.mkv", codec=codec)
    assert verify(video, remux(video, tmp_path / "b.mp4")).is_intact


def test_trim_is_named(video: Path, tmp_path: Path) -> None:
    report = verify(video, remux(video, tmp_path / "b.mp4", keep=lambda group: 1 <= group <= 3))
    assert [(item.kind, item.segments) for item in report.findings] == [
        ("unchanged", 3),
        ("missing", 2),
    ]
    assert not report.is_intact
    assert "of the log are not in the video" in " ".join(report.words())


def test_hole_is_named(video: Path, tmp_path: Path) -> None:
    report = verify(video, remux(video, tmp_path / "b.mkv", keep=lambda group: group != 2))
    assert {item.kind for item in report.findings} == {"unchanged", "missing"}
    assert report.matched == 4


def test_changed_segment_is_named(video: Path) -> None:
    listed, base = digest_video(video)
    changed = SegmentDigester("other")
    changed.add(listed[2].first_pts, b"something else", is_keyframe=True)
    segment = changed.finish()
    assert segment is not None
    other = [*listed[:2], segment, *listed[3:]]
    report = compare_segments(listed, other, log_time_base=base, video_time_base=base)
    kinds = [(item.kind, item.segments) for item in report.findings]
    assert kinds == [("unchanged", 2), ("foreign", 1), ("unchanged", 2), ("missing", 1)]


def test_swapped_and_late_segments_are_named(video: Path) -> None:
    listed, base = digest_video(video)
    order = [listed[0], listed[2], listed[1], *listed[3:]]
    report = compare_segments(listed, order, log_time_base=base, video_time_base=base)
    assert "moved" in {item.kind for item in report.findings}
    late = [*listed[:4], replace(listed[4], last_pts=10**7, first_pts=10**6)]
    report = compare_segments(listed, late, log_time_base=base, video_time_base=base)
    assert report.findings[-1].kind == "retimed"


def test_coding_anew_proves_nothing(video: Path, tmp_path: Path) -> None:
    other = encode(tmp_path / "b.mp4", seed=1)
    report = verify(video, other)
    assert report.matched == 0
    assert "coded anew" in report.words()[0]
    assert not report.is_intact


def test_log_without_segments_proves_nothing(video: Path) -> None:
    found, base = digest_video(video)
    report = compare_segments([], found, log_time_base=base, video_time_base=base)
    assert not report.is_intact
    assert "nothing is proven" in report.words()[0]


def test_equal_segments_match_one_to_one(video: Path) -> None:
    listed, base = digest_video(video)
    still = [listed[0]] * 3
    report = compare_segments(still, still[:2], log_time_base=base, video_time_base=base)
    assert (report.matched, report.listed) == (2, 3)


def test_other_files_are_one_error(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(SourceOpenError):
        digest_video(tmp_path / "a.mp4")
    with pytest.raises(SourceOpenError):
        digest_video(tmp_path / "none.mp4")


units = st.lists(st.binary(min_size=1, max_size=20), max_size=6)


@given(units=units, codec=st.sampled_from(["h264", "hevc"]), size=st.sampled_from([1, 2, 4]))
def test_both_spellings_of_a_packet_are_equal(units: list[bytes], codec: str, size: int) -> None:
    # Emulation prevention keeps start codes and a last zero byte out of real units.
    clean = [bytes(b or 1 for b in unit) for unit in units]
    by_length = b"".join(len(unit).to_bytes(size, "big") + unit for unit in clean)
    by_code = b"".join(b"\0\0\0\1" + unit for unit in clean)
    assert coded_slices(by_length, codec, size) == coded_slices(by_code, codec, 0)


@given(packet=st.binary(max_size=60), size=st.integers(0, 4), extradata=st.binary(max_size=30))
def test_hostile_packets_do_no_harm(packet: bytes, size: int, extradata: bytes) -> None:
    for codec in ("h264", "hevc", "vp9"):
        coded_slices(packet, codec, size)
        assert 0 <= nal_length_size(codec, extradata) <= 4


def test_digester_without_packets_gives_nothing() -> None:
    assert SegmentDigester("h264").finish() is None
