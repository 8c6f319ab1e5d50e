"""A short soak: the tool works, and nothing is exposed, broken or lost in a minute either."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.clips import BenchmarkError
from benchmarks.live_camera import find_gstreamer_python
from benchmarks.live_clip import CodedClip, write_coded_clip
from benchmarks.live_exposure import LiveExposure
from benchmarks.soak import SoakFigures, make_parser, soak
from tests.live_faults import RATE_HZ, SIZE_HW, face_judge


def _figures(**changes: object) -> SoakFigures:
    facts: dict[str, object] = {
        "minutes": 1.0, "faults": [("server killed", 1.0)],
        "rss_start_mb": 300.0, "rss_end_mb": 310.0, "rss_most_mb": 320.0,
        "descriptors": (20, 21), "threads": (30, 30), "cpu_s_per_s": 0.5,
        "frames": 100, "dropped": 0, "reconnects": 1, "segments": 2, "not_recovered": [],
        "exposure": LiveExposure(2, 100, 100, 100, (), (), 0.5), "exit_code": 0,
    }  # fmt: skip
    return SoakFigures(**{**facts, **changes})  # type: ignore[arg-type] # tests change one at a time


@pytest.mark.parametrize(
    "change",
    [
        {"faults": []},
        {"exposure": LiveExposure(0, 0, 0, 0, (), (), 0.0)},
        {"rss_end_mb": 340.1},
        {"descriptors": (20, 30)},
        {"threads": (30, 34)},
        {"exposure": LiveExposure(2, 100, 100, 100, ("frame 3",), (), 0.95)},
        {"exposure": LiveExposure(2, 100, 100, 100, (), ("a.mkv",), 0.5)},
        {"not_recovered": ["a.mkv"]},
        {"exit_code": 3},
    ],
)
def test_each_bar_can_be_missed(change: dict[str, object]) -> None:
    assert _figures().missed() == []
    assert len(_figures(**change).missed()) == 1


@pytest.mark.slow
@pytest.mark.network
@pytest.mark.timeout(900)
def test_a_minute_of_faults(tmp_path: Path) -> None:
    try:
        find_gstreamer_python()
    except BenchmarkError as exc:
        pytest.skip(str(exc))
    path = write_coded_clip(tmp_path / "clip.mp4", 450, size_hw=SIZE_HW, rate_hz=RATE_HZ)
    clip = CodedClip(path, face_judge(), every=45)
    options = ["--minutes", "1", "--every", "6", "--warm-up", "3", "--segment-s", "20"]
    found = soak(make_parser().parse_args([*options, "--detector-px", "320"]), clip, tmp_path)
    assert len(found.faults) >= 3
    assert found.frames > 3 * RATE_HZ
    assert found.segments >= 1
    assert found.exit_code == 0
    assert found.exposure.faces > 0
    assert found.exposure.exposed == ()
    assert found.exposure.unplayable == ()
    assert found.not_recovered == []
