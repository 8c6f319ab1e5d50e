"""Frames of re-muxed and trimmed files, made with PyAV, are found again in the recording."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest

from streamer.frames import Frame
from streamer.key_log import VideoDigest
from streamer.recovery_placement import Placement, place_segments
from streamer.source import open_source
from streamer.source_packets import digest_video
from tests.media import Recipe, copy_packets, make_video

FRAMES = 30  # five groups of six


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = Recipe(pts=tuple(range(FRAMES)), b_frames=2)
    return make_video(tmp_path_factory.mktemp("video") / "a.mp4", recipe)


def frames_of(path: Path) -> list[Frame]:
    with open_source(path) as source:
        return list(source.frames())


def placed(original: Path, file: Path) -> Placement:
    listed, unit = digest_video(original)
    found, file_unit = digest_video(file)
    return place_segments(listed, found, log_time_base=unit, video_time_base=file_unit)


def truth(original: Path, file: Path) -> list[tuple[Fraction, Fraction]]:
    """Time in the file and in the recording of each frame, told by its pixels."""
    known = {f.pixels.tobytes(): f.pts * f.time_base for f in frames_of(original)}
    return [
        (f.pts * f.time_base, known[f.pixels.tobytes()])
        for f in frames_of(file)
        if f.pixels.tobytes() in known
    ]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".ts"])
@pytest.mark.parametrize("first_s", [0.0, 0.5])
@pytest.mark.parametrize("shift_s", [0.0, 7.25])
def test_whole_groups_are_proven(
    original: Path, tmp_path: Path, suffix: str, first_s: float, shift_s: float
) -> None:
    file = copy_packets(original, tmp_path / f"b{suffix}", first_s=first_s, shift_s=shift_s)
    placement, pairs = placed(original, file), truth(original, file)
    assert len(pairs) == (30 if first_s == 0 else 12)
    for time_s, log_s in pairs:
        found = placement.of(time_s)
        assert found.how == "proven"
        assert found.log_s is not None
        assert abs(found.log_s - log_s) <= found.tolerance_s


def test_a_cut_group_is_placed_by_time_and_says_so(original: Path, tmp_path: Path) -> None:
    file = copy_packets(original, tmp_path / "b.mkv", first_s=0.2, last_s=0.66)
    placement, pairs = placed(original, file), truth(original, file)
    hows = []
    for time_s, log_s in pairs:
        found = placement.of(time_s)
        placement.count(time_s, found)
        hows.append(found.how)
        assert found.log_s is not None
        assert abs(found.log_s - log_s) <= found.tolerance_s
    assert set(hows) == {"proven", "by time"}
    assert "by their time alone" in placement.words()[1]
    assert f"{hows.count('proven')} of {len(hows)} frames are proven" in placement.words()[0]


def test_played_at_another_speed_is_still_proven(original: Path, tmp_path: Path) -> None:
    file = copy_packets(original, tmp_path / "b.mp4", speed=2)
    placement = placed(original, file)
    for time_s, log_s in truth(original, file):
        found = placement.of(time_s)
        assert found.how == "proven"
        assert found.log_s is not None
        assert abs(found.log_s - log_s) <= found.tolerance_s


def test_groups_in_another_order_are_proven(original: Path) -> None:
    listed, unit = digest_video(original)
    length = listed[1].first_pts - listed[0].first_pts
    swapped = (
        replace(listed[1], first_pts=0, last_pts=listed[1].last_pts - length),
        replace(listed[0], first_pts=length, last_pts=listed[0].last_pts + length),
    )
    placement = place_segments(listed, swapped, log_time_base=unit, video_time_base=unit)
    assert placement.of(Fraction(0)).log_s == length * unit
    assert placement.of(length * unit).log_s == 0


def test_what_lies_between_disagreeing_groups_is_not_placed(original: Path) -> None:
    listed, unit = digest_video(original)
    length = listed[1].first_pts - listed[0].first_pts
    foreign = replace(listed[0], digest=bytes(32))

    def at(digest: VideoDigest, place: int) -> VideoDigest:
        first, span = place * length, digest.last_pts - digest.first_pts
        return replace(digest, first_pts=first, last_pts=first + span)

    # Something was put in after the first group: nobody knows to which side it belongs.
    found = [at(listed[0], 0), at(foreign, 1), at(listed[1], 2)]
    placement = place_segments(listed, found, log_time_base=unit, video_time_base=unit)
    middle = placement.of(length * unit)
    assert (middle.how, middle.log_s) == ("not", None)
    placement.count(length * unit, middle)
    assert "could not be placed" in placement.words()[1]
    # A group that was replaced stands between two that agree: its time is all there is.
    found = [at(listed[0], 0), at(foreign, 1), at(listed[2], 2)]
    placement = place_segments(listed, found, log_time_base=unit, video_time_base=unit)
    assert placement.of(length * unit).how == "by time"


@pytest.mark.parametrize("has_digests", [True, False])
def test_coded_anew_or_without_digests_goes_by_time(
    original: Path, tmp_path: Path, has_digests: bool
) -> None:
    other = make_video(
        tmp_path / "b.mp4", Recipe(pts=tuple(range(FRAMES)), options={"crf": "30", "g": "6"})
    )
    listed, unit = digest_video(original)
    found, file_unit = digest_video(other)
    if not has_digests:
        listed = ()
    placement = place_segments(listed, found, log_time_base=unit, video_time_base=file_unit)
    found_at = placement.of(Fraction(1, 5))
    assert (found_at.how, found_at.log_s) == ("by time", Fraction(1, 5))
    assert not placement.counts
