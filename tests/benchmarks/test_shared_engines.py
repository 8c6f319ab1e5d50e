"""Cameras that share their networks, with real processes: files play the cameras."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.portraits_video import portrait_frames
from benchmarks.shared_engines import make_parser, measure
from benchmarks.video_io import write_video

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]


def test_a_site_with_shared_networks(tmp_path: Path) -> None:
    frames = portrait_frames(100, 1, size_hw=(240, 426), card_px=150)
    source = tmp_path / "camera.mp4"
    write_video(source, frames, rate_hz=2)
    figure = measure(tmp_path / "site", source, 2, shared=True, seconds=2.0)
    assert figure.shared
    assert figure.frames > 0
    assert 0 < figure.runs <= figure.calls
    assert figure.memory_mb > 100
    assert figure.cpu_s_per_frame > 0
    for number in range(2):
        assert (tmp_path / "site" / f"camera{number}.mkv").stat().st_size > 0


def test_the_options_have_defaults() -> None:
    args = make_parser().parse_args([])
    assert (args.cameras, args.rounds) == (4, 2)
