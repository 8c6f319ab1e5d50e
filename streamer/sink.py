"""Sink: encodes anonymised frames, copies the other streams, and writes the file.

There are two ways in, `write` for anonymised frames and `copy` for packets that were never video.
Nothing here can take a frame as it came from the source.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
import av.container
from av.packet import Packet
from av.video.stream import VideoStream

from engines.arrays import UInt8Array
from engines.errors import SinkError
from streamer.blender import AnonymizedFrame
from streamer.frames import ColorSpec, CopiedPacket
from streamer.media_info import MediaInfo, Notices
from streamer.redact import is_url, redact_url
from streamer.sink_encode import VideoEncoder
from streamer.sink_format import SinkOptions, output_format, start_shift
from streamer.sink_mux import Muxer
from streamer.sink_stream import CheckedStream
from streamer.sink_target import OutputFile

# Header texts that are about the file, not about what it shows.
_TECHNICAL_TEXTS = {
    "title", "major_brand", "minor_version", "compatible_brands", "encoder", "software",
    "creation_time", "duration",
}  # fmt: skip

__all__ = ["Sink", "SinkOptions", "open_sink"]


def open_sink(
    path: str | os.PathLike[str],
    info: MediaInfo,
    *,
    options: SinkOptions | None = None,
    notices: Notices | None = None,
) -> Sink:
    """Open an output file for the video that `info` describes.

    Args:
        path: name of the output; its extension chooses the container.
        info: facts about the source.
        options: codec, quality, and what may be replaced or kept.
        notices: takes what cannot be kept; a new one when None.

    Raises:
        SinkError: the output cannot be written there or in that format.
    """
    text = os.fspath(path)
    if is_url(text):
        raise SinkError(f"{redact_url(text)}: the output must be a file")
    return Sink(
        Path(text),
        info,
        options=options or SinkOptions(),
        notices=Notices() if notices is None else notices,
    )


class Sink:
    """One output file, under its name only once `close` has succeeded.

    As a context manager it is closed at the end and aborted when an exception leaves the block.
    `write` and `copy` may be called from different threads.
    """

    def __init__(
        self, path: Path, info: MediaInfo, *, options: SinkOptions, notices: Notices
    ) -> None:
        self.path = path
        self.notices = notices
        self.frames_written = 0
        self._lock = threading.Lock()
        self._info = info
        self._last_pts: int | None = None
        self._ended = False
        self._listener: Callable[[int, bytes, bool], None] | None = None
        output = output_format(path)
        self._shift = start_shift(info, output)
        if self._shift:
            notices.add(
                f"{path}: all times are moved by {float(self._shift * info.time_base):+.3f} s, so "
                "that the video starts where players expect it"
            )
        self._file = OutputFile(path, source_name=info.name, overwrite=options.overwrite)
        self._stream = CheckedStream(self._file.partial_path)
        try:
            with self._translated():
                self._open(options)
        except BaseException:
            self._stream.abandon()
            self._file.discard()
            raise

    def _open(self, options: SinkOptions) -> None:
        output, info, notices = output_format(self.path), self._info, self.notices
        self._container: av.container.OutputContainer = av.open(
            self._stream,
            "w",
            format=output.name,
            container_options=output.muxer_options(info),
        )
        self._encoder = VideoEncoder(self._container, output, info, options, notices)
        self._muxer = Muxer(self._container, output, info, shift=self._shift, notices=notices)
        self._set_header_texts(options, has_chapters=output.chapters)

    def _set_header_texts(self, options: SinkOptions, *, has_chapters: bool) -> None:
        info = self._info
        if options.keep_metadata:
            self._container.metadata.update(info.metadata)
        elif dropped := sorted(set(info.metadata) - _TECHNICAL_TEXTS):
            # The names only: the texts themselves may say who and where.
            self.notices.add(f"{self.path}: header texts are dropped: {', '.join(dropped)}")
        if info.title:
            self._container.metadata["title"] = info.title
        if not info.chapters:
            return
        if not has_chapters:
            self.notices.add(f"{self.path}: the chapters are dropped, this format has none")
            return
        shift_s = self._shift * info.time_base
        self._container.set_chapters(
            [
                {
                    "id": number,
                    "start": chapter.start + round(shift_s / chapter.time_base),
                    "end": chapter.end + round(shift_s / chapter.time_base),
                    "time_base": chapter.time_base,
                    "metadata": {"title": chapter.title} if chapter.title else {},
                }
                for number, chapter in enumerate(info.chapters)
            ]
        )

    @property
    def info(self) -> MediaInfo:
        """The video that this output was opened for."""
        return self._info

    @property
    def pts_shift(self) -> int:
        """What is added to every pts of a frame, in units of the source's time base."""
        return self._shift

    def listen(self, listener: Callable[[int, bytes, bool], None]) -> None:
        """Tell somebody about every coded picture before it is written, in coding order.

        Args:
            listener: takes pts (with the shift), the coded bytes, and whether it is a key frame.
        """
        self._listener = listener

    def write_after(self, before: Callable[[], None]) -> None:
        """Call something each time before bytes go to the file, such as the flush of a log."""
        self._stream.before_write = before

    def _heard(self, packets: Iterable[Packet[VideoStream]]) -> Iterator[Packet[VideoStream]]:
        for packet in packets:
            if self._listener is not None and packet.pts is not None:
                self._listener(packet.pts, bytes(packet), packet.is_keyframe)
            yield packet

    def write(self, frame: AnonymizedFrame) -> None:
        """Encode and write one frame.

        Raises:
            TypeError: this is not an anonymised frame.
            ValueError: its time is not later than the one before, or its size another.
            SinkError: it cannot be written.
        """
        if not isinstance(frame, AnonymizedFrame):
            raise TypeError(f"only AnonymizedFrame may be written, got {type(frame).__name__}")
        self._write_picture(frame.pixels, frame.color, frame.pts, frame.time_base)

    def _write_picture(
        self, pixels: UInt8Array, color: ColorSpec, pts: int, time_base: Fraction
    ) -> None:
        height, width = self._info.size_hw
        if pixels.shape != (height * 3 // 2, width):
            raise ValueError(f"a frame of {pixels.shape} in a video of {(height, width)}")
        if time_base != self._info.time_base:
            raise ValueError(f"time base {time_base} in a video of {self._info.time_base}")
        with self._lock, self._translated():
            self._require_open()
            if self._last_pts is not None and pts <= self._last_pts:
                raise ValueError(f"pts {pts} after {self._last_pts}")
            self._last_pts = pts
            packets = self._encoder.encode(pixels, pts + self._shift, color)
            self._muxer.add_video(self._heard(packets))
            self.frames_written += 1

    def copy(self, packet: CopiedPacket) -> None:
        """Copy one packet of another stream; ignored when the container cannot hold its stream.

        Raises:
            TypeError: this is not a copied packet.
            SinkError: it cannot be written.
        """
        if not isinstance(packet, CopiedPacket):
            raise TypeError(f"only CopiedPacket may be copied, got {type(packet).__name__}")
        with self._lock, self._translated():
            self._require_open()
            self._muxer.add_copy(packet)

    def close(self, *, end_pts: int | None = None) -> None:
        """Finish the file and give it its name.

        Args:
            end_pts: when the last frame ends, None to take the distance of the last two.

        Raises:
            SinkError: it cannot be finished, or no frame was written; nothing is left then.
        """
        with self._lock:
            if self._ended:
                return
            try:
                if not self.frames_written:
                    raise SinkError(f"{self.path}: no frame was written, so there is no output")
                with self._translated():
                    self._finish(end_pts)
                self._file.commit()
            except BaseException:
                self._abandon(keep_partial=False)
                raise
            self._ended = True

    def _finish(self, end_pts: int | None) -> None:
        duration = None
        if end_pts is not None and self._last_pts is not None and end_pts > self._last_pts:
            duration = end_pts - self._last_pts
        self._muxer.add_video(self._heard(self._encoder.flush()))
        self._muxer.finish(duration)
        self._container.close()
        self._stream.finish()

    def abort(self, *, keep_partial: bool = False) -> Path | None:
        """Stop without a result; never fails.

        Args:
            keep_partial: keep what was written under its partial name, if any frame was.

        Returns:
            Where the partial output lies, None when nothing is left.
        """
        with self._lock:
            if self._ended:
                return None
            return self._abandon(keep_partial=keep_partial)

    def _abandon(self, *, keep_partial: bool) -> Path | None:
        self._ended = True
        keep_partial = keep_partial and self.frames_written > 0
        # Whatever stops the file from being finished is not news: it is given up already.
        with suppress(av.FFmpegError, OSError, ValueError, SinkError):
            if keep_partial:
                self._finish(None)
            self._container.close()
        self._stream.abandon()
        if keep_partial:
            return self._file.partial_path
        self._file.discard()
        return None

    def _require_open(self) -> None:
        if self._ended:
            raise ValueError("the sink is closed")

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except av.FFmpegError as exc:
            reason = exc.strerror or type(exc).__name__
            raise SinkError(f"{self.path}: cannot be written: {reason}") from None
        except OSError as exc:
            raise SinkError(f"{self.path}: cannot be written: {exc.strerror}") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, exc_type: type[BaseException] | None, *_: object) -> None:
        if exc_type is None:
            self.close()
        else:
            self.abort()
