"""Conversion: a file that is read twice converts with one scaler, and gives the same pictures."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from streamer.media_info import Notices
from streamer.source import SourceOptions
from streamer.source_convert import FrameConverter, Scaler
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


@pytest.mark.parametrize(
    ("asked", "kept"), [(1, 1), (6, 6), (9, 9), (8, 8), (0, 2), (3, 2), (12, 2), (13, 2), (77, 2)]
)
def test_a_damaged_header_does_not_choose_colours_that_nobody_shows(asked: int, kept: int) -> None:
    frame = av.VideoFrame(64, 48, "yuv420p")
    frame.colorspace = asked
    converter = FrameConverter(frame, name="camera", notices=Notices())
    assert converter.color.matrix == kept
