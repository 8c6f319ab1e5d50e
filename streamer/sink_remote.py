"""RemotePublisher: publishes through a process of its own, which may hang or crash."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO, Final

from engines.errors import SinkError
from streamer.frames import CopiedPacket
from streamer.media_info import Notices
from streamer.redact import redact_text, redact_url
from streamer.sink_coded import CodedPicture
from streamer.sink_format import OutputFormat
from streamer.sink_items import Cut
from streamer.sink_publish_link import (
    CloseRequest,
    PictureRequest,
    PublishRequest,
    encode_request,
    make_open_request,
)
from streamer.tcp_relay import TcpRelay

__all__ = ["RemotePublisher"]

_ROOT: Final = Path(__file__).resolve().parents[1]
_PIPE_BYTES: Final = 1 << 20
# For a process to start, on a machine that is busy.
_START_S: Final = 20.0
_GOOD_BYE_S: Final = 2.0
# FLV counts milliseconds in 32 bits; long before they run out the connection is made anew.
_LONGEST_FLV_S: Final = 20 * 86400


class RemotePublisher:
    """A connection that takes coded pictures; see `OutputTarget`. Not thread-safe.

    Args:
        url: where to, with credentials.
        output: format of the connection.
        settings: options of the format.
        relay: opens a relay for each connection and gives the address to use instead and more
            options; None to connect directly.
        timeout_s: longest wait for a connection, an answer, or a write.
        notices: takes what cannot be sent.
        now: monotonic clock in seconds.
    """

    renews: Final = "on new video"

    def __init__(
        self,
        url: str,
        output: OutputFormat,
        settings: dict[str, str],
        *,
        relay: Callable[[], tuple[TcpRelay, str, dict[str, str]]] | None,
        timeout_s: float,
        notices: Notices,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = redact_url(url)
        self._url, self._format, self._settings = url, output, settings
        self._make_relay = relay
        self._timeout_s, self._notices, self._now = timeout_s, notices, now
        self._process: subprocess.Popen[bytes] | None = None
        self._heard = threading.Condition()
        self._reply: tuple[str, str] | None = None
        self._start_pts = 0
        self._relay: TcpRelay | None = None

    def is_ready(self) -> bool:
        """Only an attempt tells."""
        return True

    def open(self, cut: Cut) -> None:
        """Connect.

        Raises:
            SinkError: nobody answers, or the server refuses.
        """
        self._ensure_process()
        url, settings = self._url, {**self._format.muxer_options(None), **self._settings}
        if self._make_relay is not None:
            try:
                self._relay, url, more = self._make_relay()
            except OSError as exc:
                raise SinkError(f"{self.name}: {exc.strerror or type(exc).__name__}") from None
            settings |= more
        self._start_pts = cut.start_pts
        self._forget_reply()
        self._send(
            make_open_request(
                cut.video, url, self._format.name, settings,
                start_pts=cut.start_pts, timeout_s=self._timeout_s,
            )
        )  # fmt: skip
        # The process ends itself after its own, shorter time-out.
        self._expect("up", self._timeout_s + 3)

    def write(self, item: CodedPicture | CopiedPacket) -> None:
        """Send one item.

        Raises:
            SinkError: the connection is lost.
        """
        self._raise_if_down()
        if isinstance(item, CopiedPacket):
            self._send(item)
            return
        age_s = (item.pts - self._start_pts) * item.time_base
        if self._format.name == "flv" and age_s > _LONGEST_FLV_S:
            raise SinkError(f"{self.name}: connected anew before the times run out")
        self._send(PictureRequest(item.data, item.pts, item.is_keyframe))

    def close(self) -> None:
        """Say good-bye, and let the process end.

        Raises:
            SinkError: the connection was lost.
        """
        if self._process is None:
            return
        try:
            self._raise_if_down()
            self._send(CloseRequest())
            self._expect("closed", self._timeout_s)
        finally:
            self._end()

    def abandon(self) -> None:
        """Hang up. A process that still obeys is kept for the next attempt."""
        self._close_relay()
        try:
            self._forget_reply()
            self._send(CloseRequest())
            self._expect("closed", _GOOD_BYE_S)
        except SinkError:
            self._end()

    def _ensure_process(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._end()
        with self._heard:
            self._reply = None
        paths = [str(_ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
        process = subprocess.Popen(
            [sys.executable, "-m", "streamer.sink_publish_child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            start_new_session=True,
        )
        self._process = process
        if process.stdin is not None and process.stdout is not None:
            os.set_blocking(process.stdin.fileno(), False)
            with contextlib.suppress(OSError):  # a limit of the system; smaller works too
                fcntl.fcntl(process.stdin, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
            threading.Thread(
                target=self._listen, args=(process, process.stdout), daemon=True,
                name=f"link {self.name}",
            ).start()  # fmt: skip
        self._expect("ready", _START_S)

    def _listen(self, process: subprocess.Popen[bytes], replies: IO[bytes]) -> None:
        with replies:
            for line in replies:
                reply = json.loads(line)
                if reply["t"] == "notice":
                    self._notices.add(f"{self.name}: {redact_text(reply['text'])}")
                else:
                    self._take(process, reply["t"], redact_text(reply["text"]))
        self._take(process, "down", "the server hangs, or its connection crashed")

    def _take(self, process: subprocess.Popen[bytes], word: str, text: str) -> None:
        with self._heard:
            if process is self._process:  # not one that was given up already
                self._reply = word, text
                self._heard.notify_all()

    def _forget_reply(self) -> None:
        with self._heard:
            if self._process is not None and self._process.poll() is None:
                self._reply = None

    def _expect(self, word: str, timeout_s: float) -> None:
        with self._heard:
            self._heard.wait_for(lambda: self._reply is not None, timeout_s)
            reply, self._reply = self._reply, None
        if reply is None:
            self._end()
            raise SinkError(f"{self.name}: no answer for {timeout_s:.0f} s")
        if reply[0] != word:
            raise SinkError(f"{self.name}: {reply[1]}")

    def _raise_if_down(self) -> None:
        with self._heard:
            reply = self._reply
        if reply is not None and reply[0] == "down":
            raise SinkError(f"{self.name}: {reply[1]}")

    def _send(self, request: PublishRequest) -> None:
        process = self._process
        if process is None or process.stdin is None:
            raise SinkError(f"{self.name}: not connected")
        left = memoryview(encode_request(request))
        end_s = self._now() + self._timeout_s
        try:
            while left:
                wait_s = end_s - self._now()
                if wait_s <= 0 or not select.select([], [process.stdin], [], wait_s)[1]:
                    self._end()
                    raise SinkError(f"{self.name}: takes nothing any more")
                with contextlib.suppress(BlockingIOError):
                    left = left[os.write(process.stdin.fileno(), left) :]
        except OSError as exc:
            self._end()
            raise SinkError(f"{self.name}: {exc.strerror}") from None

    def _end(self) -> None:
        """End the process, if there is one, and the relay."""
        self._close_relay()
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                with contextlib.suppress(OSError):
                    process.stdin.close()
            process.kill()
            process.wait()

    def _close_relay(self) -> None:
        relay, self._relay = self._relay, None
        if relay is not None:
            relay.close()
