"""DemoSink: writes the demo's made-up sample and its side-by-side video; no camera feeds it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

from engines.arrays import UInt8Array
from streamer.frames import ColorSpec
from streamer.media_info import MediaInfo, Notices
from streamer.sink import Sink, SinkOptions

__all__ = ["DemoSink"]

_BT601_LIMITED = ColorSpec(matrix=6, full_range=False)


class DemoSink(Sink):
    """An output file for pictures of synthetic people.

    Args:
        path: name of the output.
        size_hw: height and width of the pictures, even.
        fps: frames per second.
    """

    def __init__(self, path: Path, size_hw: tuple[int, int], *, fps: int) -> None:
        self._time_base = Fraction(1, fps)
        info = MediaInfo(
            name="made-up sample",
            container="",
            codec_name="",
            pix_fmt="yuv420p",
            bit_depth=8,
            size_hw=size_hw,
            picture_size_hw=size_hw,
            time_base=self._time_base,
            average_rate_hz=Fraction(fps),
            sar=Fraction(1),
            display_matrix=None,
            rotation_deg=0,
            color=_BT601_LIMITED,
            field_order="progressive",
            start_pts=0,
            container_start_s=None,
            duration_s=None,
            frame_count=None,
        )
        super().__init__(
            path, info, options=SinkOptions(crf=17.0, overwrite=True), notices=Notices()
        )

    def write_sample(self, pixels: UInt8Array) -> None:
        """Encode the next picture, (3H/2, W) uint8 I420."""
        self._write_picture(pixels, _BT601_LIMITED, self.frames_written, self._time_base)
