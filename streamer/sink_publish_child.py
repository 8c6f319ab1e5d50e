"""The process that publishes: connecting blocks a whole Python process.

PyAV keeps the interpreter's lock during connecting, handshake and good-bye, so a server that hangs
would stop the camera side. Here it stops only this process, which ends itself then, by an alarm
that needs no interpreter. It gets nothing but coded pictures and copied packets.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

import av
import av.container
from av.packet import Packet
from av.stream import Stream

from streamer.frames import CopiedPacket
from streamer.media_info import Notices
from streamer.sink_format import PUBLISHED
from streamer.sink_mux import Muxer
from streamer.sink_publish_link import (
    CloseRequest,
    OpenRequest,
    PictureRequest,
    read_requests,
    templates_of,
)

__all__ = ["main"]


class _Connection:
    """A connection that is open."""

    def __init__(self, request: OpenRequest, notices: Notices) -> None:
        self._timeout_s = request.timeout_s
        self._base = request.info.time_base
        output = next(one for one in PUBLISHED.values() if one.name == request.format_name)
        video, info = templates_of(request)
        self._shift = -request.start_pts
        with _alarm(self._timeout_s):
            self._container: av.container.OutputContainer = av.open(
                request.url, "w", format=output.name, container_options=request.settings
            )
            self._stream = video.add_to(self._container, keeps_matrix=False)
            self._muxer = Muxer(
                self._container, output, info, shift=self._shift, notices=notices, is_live=True
            )
            self._container.start_encoding()

    def write(self, item: PictureRequest | CopiedPacket) -> None:
        with _alarm(self._timeout_s):
            if isinstance(item, CopiedPacket):
                self._muxer.add_copy(item)
                return
            packet: Packet[Stream] = Packet(item.data)
            packet.pts = packet.dts = item.pts + self._shift
            packet.time_base = self._base
            packet.is_keyframe = item.is_keyframe
            packet.stream = self._stream
            self._muxer.add_video([packet])

    def close(self) -> None:
        with _alarm(self._timeout_s):
            self._container.close()


@contextmanager
def _alarm(timeout_s: float) -> Iterator[None]:
    """End the process by SIGALRM, whatever it hangs in, unless the block ends in time."""
    signal.alarm(math.ceil(timeout_s) + 1)
    try:
        yield
    finally:
        signal.alarm(0)


class _Replies:
    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream

    def say(self, word: str, text: str = "") -> None:
        self._stream.write(json.dumps({"t": word, "text": text}).encode() + b"\n")
        self._stream.flush()


def _reason(exc: Exception) -> str:
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    return getattr(exc, "strerror", None) or type(exc).__name__


def main() -> None:
    """Obey standard input until it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the job, which tells us
    replies = _Replies(os.fdopen(os.dup(sys.stdout.fileno()), "wb"))
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    connection: _Connection | None = None
    notices = Notices(lambda text: replies.say("notice", text))
    replies.say("ready")
    for request in read_requests(sys.stdin.buffer):
        try:
            if isinstance(request, OpenRequest):
                connection = None
                # PyAV's containers and streams hold each other; months of attempts would pile up.
                gc.collect()
                connection = _Connection(request, notices)
                replies.say("up")
            elif isinstance(request, CloseRequest):
                closing, connection = connection, None
                if closing is not None:
                    closing.close()
                replies.say("closed")
            elif connection is not None:
                connection.write(request)
        except (av.FFmpegError, OSError, ValueError) as exc:
            connection = None
            replies.say("down", _reason(exc))
    with contextlib.suppress(av.FFmpegError, OSError):
        if connection is not None:
            connection.close()


if __name__ == "__main__":
    main()
