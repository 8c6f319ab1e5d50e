"""Starts and stops the RTSP server of `tests/rtsp_server.py`, or skips where it cannot run."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["free_port", "python_with_gstreamer", "rtsp_server"]

_SCRIPT = Path(__file__).resolve().parent / "rtsp_server.py"
_BINDINGS = "import gi; gi.require_version('GstRtspServer', '1.0')"


def python_with_gstreamer() -> str:
    """The interpreter that has GStreamer's bindings."""
    for python in ("/usr/bin/python3", sys.executable):
        try:
            done = subprocess.run([python, "-c", _BINDINGS], capture_output=True, check=False)
        except FileNotFoundError:
            continue
        if done.returncode == 0:
            return python
    pytest.skip("GStreamer's RTSP server is missing: python3-gi, gir1.2-gst-rtsp-server-1.0")


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextmanager
def rtsp_server(file: Path, port: int, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """Serve or record `file`; see `tests/rtsp_server.py` for what more there is to say."""
    command = [python_with_gstreamer(), str(_SCRIPT), str(file), str(port), *more]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            yield process
        finally:
            process.kill()
