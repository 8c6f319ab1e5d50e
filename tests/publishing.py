"""Publishing from tests: a made stream, and somebody who listens for it."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

from streamer.frames import CopiedPacket
from streamer.media_info import MediaInfo, Notices
from streamer.sink_format import SinkOptions
from streamer.sink_live import LiveSink
from streamer.sink_publish import PublishOptions, make_publisher
from streamer.sink_worker import OutputWorker, WorkerOptions
from tests.live_media import STEP, moving_frame, wait_until
from tests.media import read_all

__all__ = ["Publishing", "listener", "require_moving"]

# FFmpeg listens for one publisher and writes what comes to a file, frame by frame. A publisher that
# gave up in mid-handshake, on a machine with much else to do, comes again, as to a real server.
_LISTEN = """
import sys, time, av
url, out = sys.argv[1:]
options = {"listen": "1"} if url.startswith("rtmp") else {}
print("ready", flush=True)
def listen():
    while True:
        try:
            return av.open(url, options=options, timeout=(60, 5))
        except av.FFmpegError as exc:
            print(exc, file=sys.stderr)
            time.sleep(0.1)
with listen() as reader, av.open(out, "w") as writer:
    targets = [writer.add_stream_from_template(stream, opaque=True) for stream in reader.streams]
    try:
        for packet in reader.demux():
            if packet.size:
                packet.stream = targets[packet.stream_index]
                writer.mux(packet)
    except av.FFmpegError:
        pass
"""


class Publishing:
    """Frames in real time, on a thread, to one address."""

    def __init__(
        self,
        url: str,
        info: MediaInfo,
        *,
        noise: bool = False,
        sound: Sequence[CopiedPacket] = (),
        ca_file: Path | None = None,
    ) -> None:
        self._info, self._noise, self._sound = info, noise, sound
        self.sink = LiveSink(options=SinkOptions(preset="ultrafast"), notices=Notices())
        options = PublishOptions(timeout_s=2.0, ca_file=ca_file)
        self.worker = OutputWorker(
            "server", make_publisher(url, options=options, notices=Notices()),
            options=WorkerOptions(most_s=2.0),
            ask_cut=self.sink.ask_cut, ask_key=self.sink.ask_key,
        )  # fmt: skip
        self.sink.feed([self.worker])
        self.slowest_s = 0.0
        self.frames = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        for packet in self._sound:
            self.sink.copy(packet)
        self.sink.cut(self._info, label="", start_pts=0, shift=0)
        while not self._stop.wait(STEP / 1000):
            frame = moving_frame(self.frames, self._info.size_hw, noise=self._noise)
            start_s = time.monotonic()
            self.sink.write(frame, arrived_s=start_s)
            self.slowest_s = max(self.slowest_s, time.monotonic() - start_s)
            self.frames += 1

    @property
    def sent(self) -> int:
        return self.worker.health.packets_sent

    def wait_for(self, packets: int) -> None:
        goal = self.sent + packets
        wait_until(lambda: self.sent >= goal, 60)

    def end(self) -> list[str]:
        self._stop.set()
        self._thread.join(timeout=20)
        return self.sink.close(5.0)


@contextmanager
def listener(url: str, out: Path) -> Iterator[None]:
    command = [sys.executable, "-c", _LISTEN, url, str(out)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        time.sleep(0.5)  # between the word and the open socket
        try:
            yield
            process.wait(timeout=30)
        finally:
            process.kill()


def require_moving(path: Path, at_least: int, *, keeps_times: bool = False) -> None:
    """The file holds the moving picture, in order, and at its own pace if the server keeps it."""
    content = read_all(path)
    assert len(content.frames) >= at_least
    steps = {round(float(later - earlier) * 1000) for earlier, later in pairwise(content.times_s)}
    assert not keeps_times or steps <= {STEP, STEP - 1, STEP + 1}
    means = [int(frame.pixels[:96].mean()) for frame in content.frames[:30]]
    # Its grey grows by three a frame, modulo 180.
    assert all(0 < (later - earlier) % 180 < 7 for earlier, later in pairwise(means))
