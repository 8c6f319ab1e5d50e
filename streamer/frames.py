"""The data that travels between the stages of the pipeline."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from typing import Literal

import numpy as np

from engines.arrays import Float32Array, Float64Array, UInt8Array, require_array

__all__ = [
    "ColorSpec",
    "CopiedPacket",
    "Frame",
    "GeneratedFace",
    "TrackedFace",
]


@dataclass(frozen=True, slots=True)
class ColorSpec:
    """How the planes of a frame are to be read; the numbers are those of ISO/IEC 23091-2.

    Attributes:
        matrix: luma/chroma matrix, such as 1 (BT.709), 6 (BT.601); 2 is unspecified.
        full_range: True for 0..255, False for 16..235.
        primaries: colour primaries; 2 is unspecified.
        transfer: transfer characteristics; 2 is unspecified.
    """

    matrix: int = 2
    full_range: bool = False
    primaries: int = 2
    transfer: int = 2


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """A decoded frame that may show real faces; no sink takes it.

    Attributes:
        pixels: (3H/2, W) uint8 I420; H and W are even.
        color: how to read the planes.
        pts: presentation time in units of `time_base`, strictly increasing.
        time_base: seconds per unit.
        index: number of the frame in its source, from 0.
    """

    pixels: UInt8Array
    color: ColorSpec
    pts: int
    time_base: Fraction
    index: int

    def __post_init__(self) -> None:
        require_array("pixels", self.pixels, (None, None), np.uint8)
        height, width = self.size_hw
        if self.pixels.shape[0] * 2 != height * 3 or height % 2 or width % 2:
            raise ValueError(f"pixels: {self.pixels.shape} is not I420 of an even size")

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width of the picture in pixels."""
        return self.pixels.shape[0] * 2 // 3, self.pixels.shape[1]

    @property
    def time_s(self) -> float:
        """Presentation time in seconds, for display and filters only."""
        return float(self.pts * self.time_base)


@dataclass(frozen=True, slots=True)
class CopiedPacket:
    """A packet that goes to the output as it is; never made from a video stream.

    Attributes:
        stream_index: number of the stream in the source.
        kind: "audio", "subtitle" or "data".
        data: payload.
        pts: presentation time in `time_base` units, None where the source has none.
        dts: decoding time in the same units.
        duration: in the same units, 0 where unknown.
        time_base: seconds per unit.
        is_keyframe: flag of the packet.
        side_data: FFmpeg's name and the bytes of each extra, such as samples to skip.
    """

    stream_index: int
    kind: Literal["audio", "subtitle", "data"]
    data: bytes = field(repr=False)
    pts: int | None
    dts: int | None
    duration: int
    time_base: Fraction
    is_keyframe: bool
    side_data: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True, eq=False)
class TrackedFace:
    """One face of one frame, as the tracker sees it.

    Attributes:
        track_id: number of the track, from 1.
        box_xyxy_px: (4,) float32 corners in frame pixels; may reach outside the frame.
        landmarks_px: (5, 2) float32, or None when they are unknown or implausible.
        is_coasting: True when the detector did not see it in this frame.
        score: detector score, 0 when coasting.
    """

    track_id: int
    box_xyxy_px: Float32Array
    landmarks_px: Float32Array | None
    is_coasting: bool
    score: float = 0.0

    def __post_init__(self) -> None:
        require_array("box_xyxy_px", self.box_xyxy_px, (4,), np.float32)
        if self.landmarks_px is not None:
            require_array("landmarks_px", self.landmarks_px, (5, 2), np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class GeneratedFace:
    """A synthetic face ready to be blended.

    Attributes:
        track_id: number of its track.
        crop: (S, S, 3) uint8 RGB.
        mask: (S, S) float32 in [0, 1], 1 where the new face hides the old one.
        frame_from_crop: (2, 3) float64, maps crop pixels to frame pixels.
    """

    track_id: int
    crop: UInt8Array
    mask: Float32Array
    frame_from_crop: Float64Array
