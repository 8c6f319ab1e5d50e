"""Probing: the facts of an opened container, and which of its streams may be copied."""

from __future__ import annotations

import io
import re
import struct
from collections.abc import Sequence
from fractions import Fraction
from typing import Final, Literal

import av
import av.container
import av.logging
from av.sidedata.sidedata import SideData
from av.stream import Stream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from engines.errors import SourceOpenError
from streamer.media_info import Chapter, CopyStream, FieldOrder, MediaInfo, Notices
from streamer.source_convert import bit_depth
from streamer.source_decode import VideoDecoder

__all__ = ["copy_streams", "describe", "pick_video"]

# A picture of the video, kept in the container as a stream of its own.
_PICTURE: Final = 1 << 10 | 1 << 11 | 1 << 20
# Data that carries neither pictures (timed_id3 may) nor positions (klv and camera telemetry do).
_SAFE_DATA: Final = ("scte_35", "smpte_2038")
_CHAPTER_TRACK: Final = "bin_data"
_UPRIGHT: Final = (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
_FIELD_ORDER_OF_CODE: Final[dict[int, FieldOrder]] = {2: "tff", 3: "bff", 4: "tff", 5: "bff"}
_KIND: Final[dict[str, Literal["audio", "subtitle", "data"]]] = {
    "audio": "audio",
    "subtitle": "subtitle",
    "data": "data",
}


def pick_video(
    container: av.container.InputContainer, *, number: int, name: str, notices: Notices
) -> VideoStream:
    """The video to work on; says which others are left out.

    Raises:
        SourceOpenError: there is no video, or no decoder for it.
    """
    pictures = [stream for stream in container.streams.video if stream.disposition & _PICTURE]
    videos = [stream for stream in container.streams.video if not stream.disposition & _PICTURE]
    if not videos:
        hint = " (only a cover picture, which is not a video)" if pictures else ""
        raise SourceOpenError(f"{name}: no video stream in it{hint}")
    if number >= len(videos):
        raise SourceOpenError(f"{name}: has no video stream {number}, only {len(videos)}")
    if pictures:
        notices.add(f"{name}: cover or thumbnail pictures are dropped ({len(pictures)})")
    if len(videos) > 1:
        notices.add(
            f"{name}: holds {len(videos)} videos; only video {number} is processed, the others "
            "are dropped"
        )
    # Some AV1 and H.264 streams have no decoder in a small build; PyAV then has no context.
    if _codec_context(videos[number]) is None:
        codec = _codec_in_words(container, videos[number].index)
        raise SourceOpenError(f"{name}: the codec of the video is not supported: {codec}")
    return videos[number]


def _codec_in_words(container: av.container.InputContainer, index: int) -> str:
    """FFmpeg's description of a codec that it has no decoder for, such as "none (zzzz / ...)"."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)  # FFmpeg describes streams only in its log
    try:
        dump = container.dumps_format()  # type: ignore[attr-defined] # missing in the stub
    finally:
        av.logging.set_level(level)
    found = re.search(rf"Stream #0:{index}\b.*?: Video: ([^,\n]*)", dump)
    return found.group(1).strip() if found else "unknown"


def copy_streams(
    container: av.container.InputContainer, *, name: str, notices: Notices
) -> tuple[CopyStream, ...]:
    """The streams that may be copied, with the reasons why others are not."""
    chosen: list[Stream] = []
    for stream in container.streams:
        if stream.type == "video":
            continue
        if stream.type == "data" and stream.name == _CHAPTER_TRACK and container.chapters():
            continue  # the chapters themselves are kept
        reason = _why_not_copied(stream)
        if reason is None:
            chosen.append(stream)
        else:
            notices.add(f"{name}: stream {stream.index} ({stream.type}) is dropped: {reason}")
    templates = _templates(chosen)
    return tuple(map(_copy_stream, chosen, templates))


def _why_not_copied(stream: Stream) -> str | None:
    if stream.type not in _KIND:
        return "attachments and unknown streams may hold pictures"
    if stream.type != "data":
        return None if _codec_context(stream) is not None else "its codec is unknown"
    codec = stream.name
    if codec in _SAFE_DATA:
        return None
    if "timecode" in stream.metadata:
        return "a timecode track cannot be kept"
    return f"data of type {codec or 'unknown'} may hold positions or pictures"


def _codec_context(stream: Stream) -> object:
    # PyAV declares the context as always there; it is None when FFmpeg has no decoder.
    return stream.codec_context


def _templates(streams: Sequence[Stream]) -> list[Stream]:
    """Copies of the streams' codec parameters.

    PyAV reads a template through a pointer into its container, which dangles once that is closed;
    a container in memory, kept alive by its streams, never is.
    """
    if not streams:
        return []
    holder = av.open(io.BytesIO(), "w", format="null")
    return [holder.add_stream_from_template(stream) for stream in streams]


def _copy_stream(stream: Stream, template: Stream) -> CopyStream:
    codec = stream.name if stream.type == "data" else stream.codec_context.name
    time_base = stream.time_base or Fraction(1, 90000)
    return CopyStream(
        index=stream.index,
        kind=_KIND[stream.type],
        codec_name=codec or "unknown",
        time_base=Fraction(time_base.numerator, time_base.denominator),
        language=stream.metadata.get("language"),
        title=stream.metadata.get("title"),
        disposition=int(stream.disposition),
        template=template,
    )


def describe(
    container: av.container.InputContainer,
    stream: VideoStream,
    decoder: VideoDecoder,
    *,
    name: str,
    start_pts: int,
    copies: tuple[CopyStream, ...],
) -> MediaInfo:
    """Collect the facts once the first frame is decoded; many are only known then."""
    first, converter = decoder.first, decoder.converter
    if first is None or converter is None:
        raise ValueError("the first frame must be decoded before")
    matrix = _display_matrix(first)
    duration, start = container.duration, container.start_time
    metadata = {key.lower(): value for key, value in container.metadata.items()}
    return MediaInfo(
        name=name,
        container=container.format.name.partition(",")[0],
        codec_name=stream.codec_context.name,
        pix_fmt=first.format.name,
        bit_depth=bit_depth(first.format),
        size_hw=converter.size_hw,
        picture_size_hw=(first.height, first.width),
        time_base=decoder.time_base,
        average_rate_hz=decoder.rate_hz,
        sar=_sample_aspect(stream),
        display_matrix=matrix,
        rotation_deg=round(first.rotation / 90) * 90 % 360 if matrix else 0,
        color=converter.color,
        field_order=_field_order(stream, first),
        start_pts=start_pts,
        container_start_s=None if start is None else Fraction(start, av.time_base),
        duration_s=None if duration is None or duration <= 0 else duration / av.time_base,
        frame_count=stream.frames or None,
        copy_streams=copies,
        chapters=_chapters(container),
        title=metadata.get("title"),
        metadata=metadata,
    )


def _display_matrix(frame: VideoFrame) -> tuple[int, ...] | None:
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if not isinstance(side_data, SideData):
        return None
    values = struct.unpack("=9i", bytes(side_data))
    return None if values == _UPRIGHT else values


def _field_order(stream: VideoStream, first: VideoFrame) -> FieldOrder:
    if not first.interlaced_frame:
        return "progressive"
    return _FIELD_ORDER_OF_CODE.get(stream.codec_context.field_order, "tff")


def _sample_aspect(stream: VideoStream) -> Fraction:
    sar = stream.sample_aspect_ratio
    return Fraction(sar.numerator, sar.denominator) if sar else Fraction(1)


def _chapters(container: av.container.InputContainer) -> tuple[Chapter, ...]:
    found = []
    for chapter in container.chapters():
        base = chapter["time_base"] or Fraction(1, av.time_base)
        time_base = Fraction(base.numerator, base.denominator)
        title = chapter["metadata"].get("title")
        found.append(Chapter(chapter["start"], chapter["end"], time_base, title))
    return tuple(found)
