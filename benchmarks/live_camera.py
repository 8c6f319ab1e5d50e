"""A camera for live tests: a real RTSP server in a process of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Final, Self

from benchmarks.clips import BenchmarkError
from benchmarks.command_line import REPOSITORY

__all__ = ["Camera", "find_gstreamer_python", "free_port"]

_SCRIPT: Final = REPOSITORY / "tests" / "rtsp_server.py"
_BINDINGS: Final = "import gi; gi.require_version('GstRtspServer', '1.0')"


def find_gstreamer_python() -> str:
    """A Python that has GStreamer's RTSP server, usually the system's.

    Raises:
        BenchmarkError: there is none.
    """
    for python in ("/usr/bin/python3", sys.executable):
        try:
            done = subprocess.run([python, "-c", _BINDINGS], capture_output=True, check=False)
        except FileNotFoundError:
            continue
        if done.returncode == 0:
            return python
    raise BenchmarkError("no GStreamer RTSP server: install python3-gi gir1.2-gst-rtsp-server-1.0")


def free_port() -> int:
    """A TCP port of this machine that nobody uses now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Camera:
    """Serves a clip from its start to everybody who asks. A context manager.

    Its attributes of the same names may be changed for the next start.

    Args:
        video: H.264 in MP4; with `records` the MPEG-TS file that what is published goes to.
        login: user and password that it asks for.
        certificate: PEM file of key and certificate; then it speaks TLS only.
        records: takes a video instead of serving one.
    """

    def __init__(
        self,
        video: Path,
        *login: str,
        certificate: Path | None = None,
        records: bool = False,
    ) -> None:
        self.video = video
        self.port = free_port()
        self.login = login
        self.certificate = certificate
        self._records = records
        self._python = find_gstreamer_python()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the server and wait until it listens."""
        video = ["--record", str(self.video)] if self._records else [str(self.video)]
        command = [self._python, "-W", "ignore", str(_SCRIPT), *video, str(self.port)]
        command += self.login
        if self.certificate is not None:
            command += ["--tls", str(self.certificate)]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            raise BenchmarkError("the RTSP server does not start")

    def kill(self) -> None:
        """End it as a power cut does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            if self._process.stdout is not None:
                self._process.stdout.close()
            self._process = None

    def stall(self) -> None:
        """Stop it in mid-air; its connections stay open."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
