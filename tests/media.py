"""Videos that tests make for themselves: moving patterns, tones, subtitles, pictures."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.packet import Packet

from engines.arrays import UInt8Array
from streamer import blender
from streamer.blender import AnonymizedFrame
from streamer.frames import CopiedPacket, Frame
from streamer.media_info import MediaInfo, Notices
from streamer.sink import SinkOptions, open_sink
from streamer.source import SourceOptions, SourceStats, open_source

AUDIO_RATE_HZ = 48000


@dataclass(frozen=True)
class Recipe:
    """What a made video is like.

    Attributes:
        pts: time of each frame in `time_base` units.
        b_frames: B-frames between others.
        rotation_deg: counter-clockwise turn in the display matrix.
        audio_start_s: start of a tone, None for none; negative starts are allowed.
        color: range, matrix, primaries, transfer for the encoder.
        cover: whether a picture is attached.
        flags: extra codec flags.
    """

    codec: str = "libx264"
    pix_fmt: str = "yuv420p"
    size_hw: tuple[int, int] = (96, 128)
    pts: Sequence[int] = tuple(range(12))
    time_base: Fraction = Fraction(1, 25)
    b_frames: int = 0
    rotation_deg: int = 0
    sar: Fraction = Fraction(1)
    color: tuple[int, int, int, int] = (1, 2, 2, 2)
    audio_start_s: float | None = None
    audio_codec: str = "aac"
    audio_packets: int = 25
    subtitles: bool = False
    cover: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    metadata: Mapping[str, str] = field(default_factory=dict)
    chapters: bool = False


def pattern(index: int, size_hw: tuple[int, int]) -> UInt8Array:
    """(H, W, 3) uint8 RGB: a gradient over which a bright square moves."""
    height, width = size_hw
    rows, columns = np.mgrid[:height, :width]
    picture = np.stack([columns * 255 // width, rows * 255 // height, (rows + columns) // 2 % 256])
    picture = np.moveaxis(picture, 0, 2).astype(np.uint8)
    left = 4 * index % max(width - 16, 1)
    picture[height // 4 : height // 4 + 16, left : left + 16] = 240
    return picture


def make_video(path: Path, recipe: Recipe | None = None, *, format_name: str | None = None) -> Path:
    """Write a video and return its path."""
    recipe = recipe or Recipe()
    with av.open(str(path), "w", format=format_name) as container:
        container.metadata.update(recipe.metadata)
        video = _video_stream(container, recipe)
        others = _other_streams(container, recipe)
        if recipe.chapters:
            base = Fraction(1, 1000)
            container.set_chapters(
                [
                    {"id": n, "start": n * 200, "end": n * 200 + 200, "time_base": base,
                     "metadata": {"title": f"part {n}"}}
                    for n in range(2)
                ]
            )  # fmt: skip
        packets: list[Packet[Any]] = []
        for index, pts in enumerate(recipe.pts):
            frame = av.VideoFrame.from_ndarray(pattern(index, recipe.size_hw), "rgb24")
            frame.pts, frame.time_base = pts, recipe.time_base
            packets += video.encode(frame)
        packets += video.encode(None)
        for other in others:
            container.mux(other)
        container.mux(packets)
    return path


def _video_stream(container: Any, recipe: Recipe) -> Any:  # noqa: ANN401 - PyAV's stub is vague
    stream = container.add_stream(recipe.codec, rate=25)
    context = stream.codec_context
    context.height, context.width = recipe.size_hw
    context.pix_fmt = recipe.pix_fmt
    context.time_base = stream.time_base = recipe.time_base
    context.sample_aspect_ratio = recipe.sar
    context.color_range, context.colorspace, context.color_primaries, context.color_trc = (
        recipe.color
    )
    if recipe.codec == "libx264":
        context.options = {"bf": str(recipe.b_frames), "g": "6", "sc_threshold": "0"}
    context.options = {**context.options, **recipe.options}
    context.max_b_frames = recipe.b_frames
    context.thread_count = 1
    if recipe.rotation_deg:
        stream.set_display_rotation(recipe.rotation_deg)
    return stream


def _other_streams(container: Any, recipe: Recipe) -> list[list[Packet[Any]]]:  # noqa: ANN401
    """Packets of the tone, the subtitles and the cover."""
    made: list[list[Packet[Any]]] = []
    if recipe.audio_start_s is not None:
        made.append(_tone(container, recipe, recipe.audio_start_s))
    if recipe.subtitles:
        stream = container.add_mux_stream("subrip")
        packet: Packet[Any] = Packet(b"hello")
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = 40
        packet.duration = 200
        made.append([packet])
    if recipe.cover:
        made.append(_cover(container))
    return made


def _tone(container: Any, recipe: Recipe, start_s: float) -> list[Packet[Any]]:  # noqa: ANN401
    stream = container.add_stream(recipe.audio_codec, rate=AUDIO_RATE_HZ)
    stream.codec_context.layout = "mono"
    stream.metadata["language"] = "deu"
    packets: list[Packet[Any]] = []
    size = 1024
    for number in range(recipe.audio_packets):
        wave = np.sin(np.arange(number * size, (number + 1) * size) * 440 * 2 * np.pi / 48000)
        layout = {"format": "s16", "layout": "mono"}
        frame = av.AudioFrame.from_ndarray((wave * 8000).astype(np.int16)[None], **layout)
        frame.sample_rate = AUDIO_RATE_HZ
        frame.time_base = Fraction(1, AUDIO_RATE_HZ)
        frame.pts = round(start_s * AUDIO_RATE_HZ) + number * size
        packets += stream.encode(frame)
    return packets + list(stream.encode(None))


def _cover(container: Any) -> list[Packet[Any]]:  # noqa: ANN401
    still = io.BytesIO()
    with av.open(still, "w", format="mjpeg") as encoder:
        stream = encoder.add_stream("mjpeg", rate=1)
        stream.height, stream.width, stream.pix_fmt = 64, 64, "yuvj420p"
        frame = av.VideoFrame.from_ndarray(pattern(0, (64, 64)), "rgb24")
        encoder.mux([*stream.encode(frame), *stream.encode(None)])
    cover = container.add_mux_stream("mjpeg", width=64, height=64)
    cover.disposition = av.stream.Disposition.attached_pic
    packet: Packet[Any] = Packet(still.getvalue())
    packet.stream, packet.time_base = cover, Fraction(1, 90000)
    packet.pts = packet.dts = 0
    packet.is_keyframe = True
    return [packet]


def anonymized(frame: Frame, pixels: UInt8Array | None = None) -> AnonymizedFrame:
    """What the blender makes of a frame without faces; tests of the sink need nothing more."""
    picture = frame.pixels.copy() if pixels is None else pixels
    picture.setflags(write=False)
    return AnonymizedFrame(
        picture, frame.color, frame.pts, frame.time_base, frame.index, seal=blender._SEAL
    )


@dataclass(frozen=True, eq=False)
class Content:
    """Everything that can be read from a video.

    Attributes:
        times_s: time of each frame in seconds.
        frames: the frames.
        copies: packets by stream.
    """

    info: MediaInfo
    stats: SourceStats
    notices: list[str]
    times_s: list[Fraction]
    frames: list[Frame]
    copies: dict[int, list[CopiedPacket]]


def read_all(path: Path, options: SourceOptions | None = None) -> Content:
    """Read a video to its end."""
    frames: list[Frame] = []
    copies: dict[int, list[CopiedPacket]] = {}
    with open_source(path, options=options) as source:
        for item in source:
            if isinstance(item, Frame):
                frames.append(item)
            else:
                copies.setdefault(item.stream_index, []).append(item)
        notices = list(source.notices)
    times_s = [frame.pts * frame.time_base for frame in frames]
    return Content(source.info, source.stats, notices, times_s, frames, copies)


def pass_through(
    source_path: Path,
    target: Path,
    *,
    source_options: SourceOptions | None = None,
    options: SinkOptions | None = None,
) -> list[str]:
    """Run a video through source and sink; returns the notices."""
    notices = Notices()
    with (
        open_source(source_path, options=source_options, notices=notices) as source,
        open_sink(target, source.info, options=options, notices=notices) as sink,
    ):
        for item in source:
            if isinstance(item, CopiedPacket):
                sink.copy(item)
            else:
                sink.write(anonymized(item))
        sink.close(end_pts=source.stats.end_pts)
    return list(notices)


def copy_packets(
    source: Path,
    target: Path,
    *,
    first_s: float = 0.0,
    last_s: float = float("inf"),
    shift_s: float = 0.0,
    speed: int = 1,
) -> Path:
    """Move a video's coded pictures to another file, as trimming and re-muxing tools do.

    Args:
        source: the video.
        target: the file to write; its extension chooses the container.
        first_s: begin at the first key frame from here on, which becomes the time 0.
        last_s: leave out what is coded for later times.
        shift_s: added to all times.
        speed: times are divided by this.
    """
    with av.open(str(source)) as reader, av.open(str(target), "w") as writer:
        stream = reader.streams.video[0]
        out = writer.add_stream_from_template(stream)
        start: int | None = None
        for packet in reader.demux(stream):
            if packet.pts is None or packet.dts is None or stream.time_base is None:
                continue
            time_s = float(packet.pts * stream.time_base)
            if start is None:
                if not packet.is_keyframe or time_s < first_s:
                    continue
                start = packet.pts
            if time_s > last_s:
                break
            offset = round(shift_s / float(stream.time_base))
            packet.pts = (packet.pts - start) // speed + offset
            packet.dts = (packet.dts - start) // speed + offset
            packet.stream = out
            writer.mux(packet)
    return target
