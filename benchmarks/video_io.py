"""Reading, writing and comparing video files as a player sees them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import zip_longest
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream

from engines.arrays import UInt8Array

__all__ = [
    "DecodedFrame",
    "Fidelity",
    "compare_streams",
    "cut_clip",
    "decode",
    "frame_count",
    "paired_frames",
    "write_video",
]


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrame:
    """One frame of a file.

    Attributes:
        bgr: (H, W, 3) uint8.
        time_s: exact presentation time in seconds, None where the file has none.
    """

    bgr: UInt8Array
    time_s: Fraction | None


@dataclass(frozen=True, slots=True)
class Fidelity:
    """How far an output keeps what is not a face.

    Attributes:
        frames_in: frames of the source.
        frames_out: frames of the output.
        is_size_equal: width and height are the same.
        max_time_error_s: greatest difference of presentation times.
        is_time_equal: no time differs by more than half a tick of the coarser clock.
        audio_in: audio packets of the source.
        audio_out: audio packets of the output.
        is_audio_identical: the same packets, bit for bit, in the same order.
    """

    frames_in: int
    frames_out: int
    is_size_equal: bool
    max_time_error_s: float
    is_time_equal: bool
    audio_in: int
    audio_out: int
    is_audio_identical: bool

    @property
    def is_kept(self) -> bool:
        """Whether nothing was lost or moved."""
        return (
            self.frames_in == self.frames_out
            and self.is_size_equal
            and self.is_time_equal
            and self.is_audio_identical
        )


def decode(path: Path, *, threads: int = 1, limit: int | None = None) -> Iterator[DecodedFrame]:
    """Frames of the first real video stream (cover pictures are left out)."""
    with av.open(str(path)) as container:
        stream = _video_stream(container)
        stream.thread_count = threads
        for index, frame in enumerate(container.decode(stream)):
            if limit is not None and index >= limit:
                return
            time_s = None if frame.pts is None else frame.pts * _fraction(frame.time_base)
            yield DecodedFrame(np.asarray(frame.to_ndarray(format="bgr24")), time_s)


def paired_frames(
    source: Path, output: Path, *, threads: int = 1
) -> Iterator[tuple[int, UInt8Array, UInt8Array]]:
    """Frames of two files side by side, by number, up to the end of the shorter one."""
    frames = zip(decode(source, threads=threads), decode(output, threads=threads), strict=False)
    for index, (a, b) in enumerate(frames):
        yield index, a.bgr, b.bgr


def _video_stream(container: InputContainer) -> VideoStream:
    for stream in container.streams.video:
        if not int(stream.disposition) & int(av.stream.Disposition.attached_pic):
            return stream
    raise ValueError(f"{container.name} has no video")


def _fraction(time_base: Fraction | None) -> Fraction:
    if time_base is None:
        raise ValueError("a stream without a time base")
    return Fraction(time_base.numerator, time_base.denominator)


def _times(path: Path) -> tuple[list[Fraction | None], Fraction, tuple[int, int]]:
    """Presentation times of all frames, the clock's tick and the size."""
    with av.open(str(path)) as container:
        stream = _video_stream(container)
        times: list[Fraction | None] = []
        size = (0, 0)
        for frame in container.decode(stream):
            size = (frame.width, frame.height)
            times.append(None if frame.pts is None else frame.pts * _fraction(frame.time_base))
        return times, _fraction(stream.time_base), size


def _audio_packets(path: Path) -> list[bytes]:
    """A digest of each audio packet, stream by stream."""
    digests: dict[int, list[bytes]] = {}
    with av.open(str(path)) as container:
        streams = container.streams.audio
        if not streams:
            return []
        for packet in container.demux(*streams):
            if packet.size:
                digest = hashlib.sha256(bytes(packet)).digest()
                digests.setdefault(packet.stream_index, []).append(digest)
    return [digest for _, stream in sorted(digests.items()) for digest in stream]


def compare_streams(source: Path, output: Path) -> Fidelity:
    """Compare frame counts, times, sizes and audio of two files."""
    times_in, tick_in, size_in = _times(source)
    times_out, tick_out, size_out = _times(output)
    pairs = zip_longest(times_in, times_out)
    errors = [abs(a - b) for a, b in pairs if a is not None and b is not None]
    worst = max(errors, default=Fraction(0))
    audio_in, audio_out = _audio_packets(source), _audio_packets(output)
    return Fidelity(
        frames_in=len(times_in),
        frames_out=len(times_out),
        is_size_equal=size_in == size_out,
        max_time_error_s=float(worst),
        is_time_equal=worst <= max(tick_in, tick_out) / 2,
        audio_in=len(audio_in),
        audio_out=len(audio_out),
        is_audio_identical=audio_in == audio_out,
    )


def write_video(
    path: Path,
    frames: Iterable[UInt8Array],
    *,
    rate_hz: int = 25,
    codec: str = "libx264",
    options: dict[str, str] | None = None,
) -> int:
    """Encode BGR frames of even size at a constant rate, without audio.

    Returns:
        The number of frames written.
    """
    count = 0
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=rate_hz, options=options or {})
        stream.pix_fmt = "yuv420p"
        for count, bgr in enumerate(frames, start=1):
            if count == 1:
                stream.height, stream.width = bgr.shape[:2]
            frame = av.VideoFrame.from_ndarray(bgr, format="bgr24")
            frame.pts, frame.time_base = count - 1, Fraction(1, rate_hz)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return count


def frame_count(path: Path) -> int:
    """Frames of the first real video stream, by decoding."""
    return len(_times(path)[0])


def cut_clip(source: Path, output: Path, frames: int) -> Path:
    """The first frames of a clip, packets copied; no audio.

    Stops at the packet after which the wanted number was decoded, so a few more may come along.
    """
    with av.open(str(source)) as container, av.open(str(output), "w") as out:
        stream = _video_stream(container)
        target: Any = out.add_stream_from_template(stream)
        seen = 0
        for packet in container.demux(stream):
            seen += len(packet.decode())
            if packet.size:
                packet.stream = target
                out.mux(packet)
            if seen >= frames:
                break
    return output
