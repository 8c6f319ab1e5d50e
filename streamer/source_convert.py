"""Conversion of decoded frames to 8-bit I420 of one even size."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np
from av.video.reformatter import VideoReformatter

from engines.arrays import UInt8Array
from streamer.frames import ColorSpec
from streamer.media_info import Notices

if TYPE_CHECKING:
    from av import VideoFrame
    from av.video.format import VideoFormat

__all__ = ["FrameConverter", "Scaler", "bit_depth"]

Scaler: TypeAlias = VideoReformatter
"""Scales and converts pictures; for HDR it holds tables that take seconds to make."""

_PLANAR_420 = ("yuv420p", "yuvj420p")
_GRAY = "gray"
_FULL_RANGE = 2
_LIMITED_RANGE = 1
_HDR_TRANSFERS = {16: "PQ", 18: "HLG"}
_BT709 = 1
_UNSPECIFIED = 2
# Matrices that cameras do not send and players refuse to show; a damaged header may ask for one.
_NEVER_SHOWN: Final = (11, 12, 13)
_LAST_MATRIX: Final = 14
# swscale's own numbers for the matrices of ISO/IEC 23091-2; what is missing has none.
_SWS_MATRIX = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_SWS_DEFAULT = 5


def bit_depth(pixel_format: VideoFormat) -> int:
    """Bits per sample of the deepest component."""
    return max((component.bits for component in pixel_format.components), default=8)


class FrameConverter:
    """Turns every frame of one stream into I420 like the first. Not thread-safe.

    What the first frame is decides the output: its size, padded to even numbers by repeating the
    last row or column, and its colours. HDR is mapped to BT.709, RGB becomes BT.709, everything
    else keeps its matrix and range.

    Args:
        first: first decoded frame.
        name: source as it may be shown.
        notices: takes what is lost.
        scaler: one that was used before for the same stream; None makes one.
    """

    def __init__(
        self, first: VideoFrame, *, name: str, notices: Notices, scaler: Scaler | None = None
    ) -> None:
        self._size_hw = first.height, first.width
        self._name = name
        self._notices = notices
        self._swscale = Scaler() if scaler is None else scaler
        self._color = _output_color(first)
        self._announce(first)

    @property
    def size_hw(self) -> tuple[int, int]:
        """Even height and width of the converted frames."""
        height, width = self._size_hw
        return height + height % 2, width + width % 2

    @property
    def color(self) -> ColorSpec:
        """How the converted planes are to be read."""
        return self._color

    def fits(self, frame: VideoFrame) -> bool:
        """Whether a frame has the size of the first one."""
        return (frame.height, frame.width) == self._size_hw

    def convert(self, frame: VideoFrame) -> UInt8Array:
        """Convert one frame.

        Returns:
            (3H/2, W) uint8 I420 of `size_hw`, in memory of its own.
        """
        if (frame.height, frame.width) != self._size_hw:
            self._notices.add(
                f"{self._name}: the picture size changes from {_size(self._size_hw)} to "
                f"{frame.width}x{frame.height} in mid-stream; scaled to the first size"
            )
        full = _is_full_range(frame)
        same = (frame.height, frame.width) == self._size_hw and full == self._color.full_range
        if same and frame.format.name in _PLANAR_420:
            return self._pack(frame, with_chroma=True)
        if same and frame.format.name == _GRAY:
            return self._pack(frame, with_chroma=False)
        return self._pack(self._scale(frame), with_chroma=True)

    def _scale(self, frame: VideoFrame) -> VideoFrame:
        height, width = self._size_hw
        tone_mapped = frame.color_trc in _HDR_TRANSFERS
        # Always stated, since swscale takes "unspecified" for limited and would shift the levels.
        return self._swscale.reformat(
            frame,
            width=width,
            height=height,
            format="yuv420p",
            src_colorspace=_SWS_MATRIX.get(frame.colorspace, _SWS_DEFAULT),
            dst_colorspace=_SWS_MATRIX.get(self._color.matrix, _SWS_DEFAULT),
            src_color_range=_FULL_RANGE if _is_full_range(frame) else _LIMITED_RANGE,
            dst_color_range=_FULL_RANGE if self._color.full_range else _LIMITED_RANGE,
            dst_color_trc=_BT709 if tone_mapped else None,
            dst_color_primaries=_BT709 if tone_mapped else None,
            threads=1,
        )

    def _pack(self, frame: VideoFrame, *, with_chroma: bool) -> UInt8Array:
        height, width = self.size_hw
        pixels = np.empty((height * 3 // 2, width), np.uint8)
        _copy_plane_into(pixels[:height], _plane(frame, 0, *self._size_hw))
        if not with_chroma:
            pixels[height:] = 128
            return pixels
        half_hw = height // 2, width // 2
        chroma = pixels[height:].reshape(2, *half_hw)
        for plane in (0, 1):
            chroma[plane] = _plane(frame, plane + 1, *half_hw)
        return pixels

    def _announce(self, first: VideoFrame) -> None:
        pixel_format, add = first.format, self._notices.add
        depth = bit_depth(pixel_format)
        if first.color_trc in _HDR_TRANSFERS:
            add(
                f"{self._name}: {_HDR_TRANSFERS[first.color_trc]} high dynamic range of {depth} "
                "bits is mapped to 8-bit BT.709"
            )
        elif pixel_format.is_rgb:
            add(f"{self._name}: {pixel_format.name} is converted to 8-bit 4:2:0 YUV, BT.709")
        elif pixel_format.name not in (*_PLANAR_420, _GRAY):
            add(f"{self._name}: {pixel_format.name} ({depth} bits) is converted to 8-bit 4:2:0")
        if any(component.is_alpha for component in pixel_format.components):
            add(f"{self._name}: transparency is not kept")
        if self.size_hw != self._size_hw:
            add(
                f"{self._name}: the odd picture size {_size(self._size_hw)} is padded to "
                f"{_size(self.size_hw)}"
            )


def _output_color(frame: VideoFrame) -> ColorSpec:
    if frame.color_trc in _HDR_TRANSFERS:
        return ColorSpec(_BT709, False, _BT709, _BT709)
    if frame.format.is_rgb:
        return ColorSpec(_BT709, False, _UNSPECIFIED, _UNSPECIFIED)
    matrix, primaries, transfer = (
        # 0 and 3 are reserved (matrix 0 is RGB, which this is not); encoders may refuse them.
        _UNSPECIFIED if value in (0, 3) else value
        for value in (frame.colorspace, frame.color_primaries, frame.color_trc)
    )
    if matrix in _NEVER_SHOWN or matrix > _LAST_MATRIX:
        matrix = _UNSPECIFIED
    return ColorSpec(matrix, _is_full_range(frame), primaries, transfer)


def _is_full_range(frame: VideoFrame) -> bool:
    return frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")


def _plane(frame: VideoFrame, index: int, height: int, width: int) -> UInt8Array:
    plane = frame.planes[index]
    return np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)[:height, :width]


def _copy_plane_into(canvas: UInt8Array, plane: UInt8Array) -> None:
    height, width = plane.shape
    canvas[:height, :width] = plane
    canvas[height:, :width] = plane[-1:]
    canvas[:, width:] = canvas[:, width - 1 : width]


def _size(size_hw: tuple[int, int]) -> str:
    return f"{size_hw[1]}x{size_hw[0]}"
