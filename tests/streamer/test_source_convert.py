"""Conversion: a file that is read twice converts with one scaler, and gives the same pictures."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from streamer.source import SourceOptions
from streamer.source_convert import Scaler
from tests.media import Recipe, make_video, read_all


def test_a_scaler_may_serve_one_reading_after_the_other(tmp_path: Path) -> None:
    path = make_video(tmp_path / "deep.mkv", Recipe(codec="ffv1", pix_fmt="yuv422p"))
    scaler = Scaler()
    first, second = (
        [frame.pixels for frame in read_all(path, SourceOptions(scaler=scaler)).frames]
        for _ in range(2)
    )
    assert len(first) > 0
    own = [frame.pixels for frame in read_all(path).frames]
    for one, two, three in zip(first, second, own, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)
