"""LiveSink: encodes anonymised frames once and hands them to any number of outputs.

There are two ways in, `write` for anonymised frames and `copy` for packets that were never video.
Nothing here waits for an output.
"""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Final

from engines.errors import SinkError
from streamer.blender import AnonymizedFrame
from streamer.frames import CopiedPacket
from streamer.media_info import MediaInfo, Notices
from streamer.sink_coded import CodedPicture, PictureEncoder
from streamer.sink_format import SinkOptions
from streamer.sink_items import Cut, OutputItem
from streamer.sink_worker import OutputWorker

__all__ = ["LiveSink"]

# Copied packets wait for the video to reach their time, but never more bytes than this.
_MOST_WAITING_BYTES: Final = 8 << 20


class LiveSink:
    """The outputs of a live job.

    `ask_cut` and `ask_key` may be called from any thread, the rest belongs to one.

    Args:
        options: codec and quality.
        notices: takes what cannot be kept.
    """

    def __init__(self, *, options: SinkOptions, notices: Notices) -> None:
        self._options, self._notices = options, notices
        self._workers: tuple[OutputWorker, ...] = ()
        self._encoder: PictureEncoder | None = None
        self._waiting: deque[tuple[Fraction | None, CopiedPacket]] = deque()
        self._waiting_bytes = 0
        self._wants_key = True
        self._wants_cut = False
        self._has_cut = False
        self._listener: Callable[[int, bytes, bool], None] | None = None
        self._before: Callable[[], None] = _nothing
        self.frames_written = 0

    def feed(self, workers: Sequence[OutputWorker]) -> None:
        """Say which outputs there are; once, before the first cut."""
        self._workers = tuple(workers)

    def ask_key(self) -> None:
        """Let the next picture be a key frame; an output needs one to begin."""
        self._wants_key = True

    def ask_cut(self) -> None:
        """Let a new piece begin; an output that writes files has lost the one it had."""
        self._wants_cut = True

    @property
    def wants_cut(self) -> bool:
        """Whether an output has asked for a new piece since the last one began."""
        return self._wants_cut

    def listen(self, listener: Callable[[int, bytes, bool], None]) -> None:
        """Tell somebody about every coded picture before it goes out.

        Args:
            listener: takes pts, the coded bytes, and whether it is a key frame.
        """
        self._listener = listener

    def write_after(self, before: Callable[[], None]) -> None:
        """Call something each time before pictures go out, such as the flush of a log."""
        self._before = before

    def cut(self, info: MediaInfo, *, label: str, start_pts: int, shift: int) -> None:
        """Begin a new piece with the next picture.

        Args:
            info: what the frames are like from here on.
            label: for the names of files.
            start_pts: pts of the next frame.
            shift: added to the times in files, in units of the video's time base.

        Raises:
            SinkError: the encoder cannot be opened for such frames.
        """
        is_new = self._encoder is None or info is not self._encoder.video.info
        if is_new:
            self._drain()
            self._encoder = None
            gc.collect()  # PyAV's encoder and container hold each other, and threads with them
            self._encoder = PictureEncoder(info, options=self._options, notices=self._notices)
        if self._encoder is None:
            raise SinkError("no encoder")
        # Sound that belongs before the cut goes to the piece before.
        self._pass_on(start_pts * info.time_base)
        self._wants_cut, self._wants_key, self._has_cut = False, True, True
        self._send(Cut(label, self._encoder.video, start_pts, shift, is_new))

    def write(self, frame: AnonymizedFrame, *, arrived_s: float | None) -> None:
        """Encode one frame and hand it to all outputs.

        Args:
            frame: the next one.
            arrived_s: when it came from the camera, None for a made picture.

        Raises:
            TypeError: this is not an anonymised frame.
            ValueError: its time or size does not fit, or no piece was begun.
            SinkError: the encoder failed.
        """
        if not isinstance(frame, AnonymizedFrame):
            raise TypeError(f"only AnonymizedFrame may be written, got {type(frame).__name__}")
        if self._encoder is None or not self._has_cut:
            raise ValueError("no piece was begun")
        is_key, self._wants_key = self._wants_key, False
        self._send_pictures(self._encoder.encode(frame, is_key=is_key, arrived_s=arrived_s))
        self.frames_written += 1

    def copy(self, packet: CopiedPacket) -> None:
        """Hand a copied packet on when the video has reached its time.

        Raises:
            TypeError: this is not a copied packet.
        """
        if not isinstance(packet, CopiedPacket):
            raise TypeError(f"only CopiedPacket may be copied, got {type(packet).__name__}")
        time = packet.dts if packet.dts is not None else packet.pts
        self._waiting.append((None if time is None else time * packet.time_base, packet))
        self._waiting_bytes += len(packet.data)
        while self._waiting_bytes > _MOST_WAITING_BYTES:
            self._pass_first()

    def close(self, timeout_s: float) -> list[str]:
        """Finish all outputs.

        Args:
            timeout_s: longest wait for each.

        Returns:
            Names of the outputs that hang; they are left to the end of the process.
        """
        self._drain()
        return [worker.name for worker in self._workers if not worker.close(timeout_s)]

    def abort(self, timeout_s: float) -> None:
        """End after an error: what is out stays, as whole as it can be."""
        for worker in self._workers:
            worker.close(timeout_s)

    def _drain(self) -> None:
        if self._encoder is not None and self._has_cut:
            self._send_pictures(self._encoder.flush())
            while self._waiting:
                self._pass_first()

    def _send_pictures(self, pictures: Sequence[CodedPicture]) -> None:
        for picture in pictures:
            if self._listener is not None:
                self._listener(picture.pts, picture.data, picture.is_keyframe)
        # The log first: a face that is out must have its way back already on the disk.
        self._before()
        for picture in pictures:
            self._pass_on(picture.pts * picture.time_base)
            self._send(picture)

    def _pass_on(self, until_s: Fraction) -> None:
        while self._waiting:
            time_s = self._waiting[0][0]
            if time_s is not None and time_s > until_s:
                return
            self._pass_first()

    def _pass_first(self) -> None:
        packet = self._waiting.popleft()[1]
        self._waiting_bytes -= len(packet.data)
        if self._has_cut:
            self._send(packet)

    def _send(self, item: OutputItem) -> None:
        for worker in self._workers:
            worker.offer(item)


def _nothing() -> None:
    """Nobody wants to be asked first."""
