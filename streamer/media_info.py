"""Media facts: what a source knows about its video, and what a sink must keep of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, Literal

from streamer.frames import ColorSpec

__all__ = ["Chapter", "CopyStream", "FieldOrder", "MediaInfo", "Notices"]

FieldOrder = Literal["progressive", "tff", "bff"]

_log = logging.getLogger(__name__)

_MOST_NOTICES: Final = 500


class Notices:
    """What could not be kept or went wrong, each said once, in the order it was found.

    Every notice is also logged as a warning when it is added. Adding from several threads is safe.

    Args:
        listener: told about every notice, also about those that were said before.
    """

    def __init__(self, listener: Callable[[str], None] | None = None) -> None:
        self._listener = listener
        # A dict keeps the order and makes the test for repetition cheap and atomic.
        self._texts: dict[str, None] = {}

    def add(self, text: str) -> None:
        """Record a notice unless the same one is there already."""
        if self._listener is not None:
            self._listener(text)
        if text not in self._texts:
            self._texts[text] = None
            if len(self._texts) > _MOST_NOTICES:
                # A camera that runs for months must not fill the memory with them.
                self._texts.pop(next(iter(self._texts)), None)
            _log.warning("%s", text)

    def __iter__(self) -> Iterator[str]:
        return iter(tuple(self._texts))

    def __len__(self) -> int:
        return len(self._texts)


@dataclass(frozen=True, slots=True)
class CopyStream:
    """A stream of the source whose packets may be copied; never a video or a picture.

    Attributes:
        index: number of the stream in the source; `CopiedPacket.stream_index` refers to it.
        kind: "audio", "subtitle" or "data".
        codec_name: FFmpeg's name of the codec.
        time_base: seconds per unit of its packets' times.
        language: ISO 639 code, None when unknown.
        title: title of the stream, None when it has none.
        disposition: FFmpeg's disposition bits (default, forced, ...).
        template: opaque; codec parameters as the sink needs them, valid after the source closed.
    """

    index: int
    kind: Literal["audio", "subtitle", "data"]
    codec_name: str
    time_base: Fraction
    language: str | None
    title: str | None
    disposition: int
    template: object = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Chapter:
    """A named part of the recording; `start` and `end` are in `time_base` units."""

    start: int
    end: int
    time_base: Fraction
    title: str | None


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """The facts about a source's video, as its frames come out of the source.

    Attributes:
        name: path or redacted URL, for messages.
        container: FFmpeg's short name of the container, such as "mov" or "matroska".
        codec_name: codec of the video.
        pix_fmt: pixel format the decoder gives, before the conversion to I420.
        bit_depth: bits per sample of that format.
        size_hw: height and width of the frames that the source yields; both even.
        picture_size_hw: size stored in the source; odd where `size_hw` was padded by one.
        time_base: seconds per unit of the frames' pts.
        average_rate_hz: average frame rate, None when unknown.
        sar: sample aspect ratio; 1 when unknown.
        display_matrix: FFmpeg's nine integers, None when the picture is stored upright.
        rotation_deg: 0, 90, 180 or 270: counter-clockwise turn that makes the picture upright.
        color: how to read the planes of the frames, after any conversion.
        field_order: "progressive", or which field of an interlaced frame is shown first.
        start_pts: pts of the first frame.
        container_start_s: smallest time of any stream, None when unknown.
        duration_s: duration of the whole source in seconds, None when unknown.
        frame_count: number of frames that the container states, None when it does not.
        copy_streams: streams whose packets the source yields.
        chapters: chapters of the container.
        title: title of the recording.
        metadata: everything else that the header says; may hold locations and names of people.
    """

    name: str
    container: str
    codec_name: str
    pix_fmt: str
    bit_depth: int
    size_hw: tuple[int, int]
    picture_size_hw: tuple[int, int]
    time_base: Fraction
    average_rate_hz: Fraction | None
    sar: Fraction
    display_matrix: tuple[int, ...] | None
    rotation_deg: int
    color: ColorSpec
    field_order: FieldOrder
    start_pts: int
    container_start_s: Fraction | None
    duration_s: float | None
    frame_count: int | None
    copy_streams: tuple[CopyStream, ...] = ()
    chapters: tuple[Chapter, ...] = ()
    title: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict, repr=False)
