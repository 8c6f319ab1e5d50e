"""Recording: an output that is one file, or a new one for each piece."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import av
import av.container
from av.stream import Stream

from engines.errors import SinkError
from streamer.frames import CopiedPacket
from streamer.media_info import Notices
from streamer.pieces import PiecePattern, Retention, remove_expired
from streamer.sink_coded import CodedPicture
from streamer.sink_format import output_format
from streamer.sink_items import Cut
from streamer.sink_mux import Muxer
from streamer.sink_stream import CheckedStream
from streamer.sink_target import OutputFile

__all__ = ["Recorder"]

# Written and removed again to see whether a disk that was full has room once more.
_PROBE_BYTES: Final = 1 << 20


class Recorder:
    """Files that take coded pictures; see `OutputTarget`. Not thread-safe.

    A piece grows as `NAME.partial.EXT` and gets its name when it is whole and on the disk.

    Args:
        pattern: names of the files; the extension chooses the container.
        key_log: names of their key logs, which go with them; None when they have none of their own.
        source_name: the input, which must not be overwritten.
        overwrite: replace existing files.
        retention: what is kept of earlier pieces.
        notices: takes what cannot be kept.
        clock: seconds since 1970 UTC.
    """

    renews: Final = "on cut"

    def __init__(
        self,
        pattern: PiecePattern,
        *,
        key_log: PiecePattern | None,
        source_name: str,
        overwrite: bool,
        retention: Retention,
        notices: Notices,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.name = str(pattern.path)
        self._pattern, self._key_log = pattern, key_log
        self._source_name, self._overwrite = source_name, overwrite
        self._retention, self._notices, self._clock = retention, notices, clock
        self._format = output_format(pattern.path)
        self._file: OutputFile | None = None
        self._stream: CheckedStream | None = None
        self._container: av.container.OutputContainer | None = None
        self._video: Stream | None = None
        self._muxer: Muxer | None = None
        self._shift = 0
        self._pictures = 0
        self.finished: list[Path] = []

    def is_ready(self) -> bool:
        """Whether the disk takes a megabyte."""
        try:
            with tempfile.TemporaryFile(dir=self._pattern.path.parent) as file:
                file.write(bytes(_PROBE_BYTES))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            return False
        return True

    def open(self, cut: Cut) -> None:
        """Begin the file of a piece.

        Raises:
            SinkError: it cannot be written.
        """
        path = self._pattern.of(cut.label)
        with self._translated(path):
            self._file = OutputFile(path, source_name=self._source_name, overwrite=self._overwrite)
            self._stream = CheckedStream(self._file.partial_path)
            info = cut.video.info
            self._container = av.open(
                self._stream,
                "w",
                format=self._format.name,
                container_options=self._format.muxer_options(info),
            )
            keeps_matrix = self._format.keeps_matrix
            self._video = cut.video.add_to(self._container, keeps_matrix=keeps_matrix)
            self._shift, self._pictures = cut.shift, 0
            self._muxer = Muxer(
                self._container, self._format, info, shift=cut.shift, notices=self._notices
            )

    def write(self, item: CodedPicture | CopiedPacket) -> None:
        """Write one item.

        Raises:
            SinkError: the disk refuses.
        """
        if self._muxer is None or self._video is None:
            raise SinkError(f"{self.name}: no file is open")
        with self._translated(Path(self.name)):
            if isinstance(item, CodedPicture):
                self._muxer.add_video([item.packet(self._video, self._shift)])
                self._pictures += 1
            else:
                self._muxer.add_copy(item)

    def close(self) -> None:
        """Finish the file, give it its name, and remove those that are not kept any more.

        Raises:
            SinkError: it cannot be finished; what there is stays under its partial name.
        """
        file, muxer, stream, container = self._file, self._muxer, self._stream, self._container
        if file is None or muxer is None or stream is None or container is None:
            return
        if not self._pictures:
            self.abandon()
            return
        try:
            with self._translated(file.path):
                muxer.finish(None)
                container.close()
            stream.finish()
            file.commit()
        except SinkError:
            # What is there plays up to the last second; the recording goes on in another file.
            self._pictures = max(self._pictures, 1)
            self._let_go()
            raise
        self.finished = [*self.finished[-9:], file.path]
        self._forget()
        remove_expired(self._pattern, self._key_log, self._retention, now_s=self._clock())

    def abandon(self) -> None:
        """Leave the file under its partial name, or nothing when no picture is in it."""
        if self._pictures and self._muxer is not None and self._container is not None:
            # The rest of what it holds, if the disk takes it.
            with contextlib.suppress(av.FFmpegError, OSError, ValueError):
                self._muxer.finish(None)
        self._let_go()

    def _let_go(self) -> None:
        with contextlib.suppress(av.FFmpegError, OSError, ValueError):
            if self._container is not None:
                self._container.close()
        if self._stream is not None:
            self._stream.abandon()
        if self._file is not None and not self._pictures:
            self._file.discard()
        self._forget()

    def _forget(self) -> None:
        self._file = self._stream = self._container = self._video = self._muxer = None

    @contextmanager
    def _translated(self, path: Path) -> Iterator[None]:
        try:
            yield
        except av.FFmpegError as exc:
            reason = exc.strerror or type(exc).__name__
            raise SinkError(f"{path}: cannot be written: {reason}") from None
        except OSError as exc:
            raise SinkError(f"{path}: cannot be written: {exc.strerror}") from None
