"""A live job as a user starts it: the command in a process of its own, watched over HTTP."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, Self

from benchmarks.clips import BenchmarkError
from benchmarks.command_line import REPOSITORY, write_password
from benchmarks.live_camera import free_port
from benchmarks.live_run import Resources, resources
from benchmarks.processes import cpu_s_of

__all__ = ["LiveService", "anonymize_service"]

_STEP_S: Final = 0.02


def anonymize_service(
    url: str, outs: Sequence[str | Path], folder: Path, *options: str
) -> LiveService:
    """`anonymize` on one camera; its password goes to a file in the folder.

    Args:
        url: the camera.
        outs: files and addresses.
        folder: for the password and what the command says.
        options: more of the command line.
    """
    targets = [part for out in outs for part in ("--out", str(out))]
    password = ["--password-file", str(write_password(folder))]
    arguments = ["anonymize", url, *targets, *password, "--quiet", "--overwrite", *options]
    return LiveService(arguments, folder)


class LiveService:
    """Runs a command on cameras. A context manager; SIGTERM ends it in good order.

    Args:
        arguments: of `run_stream.py`.
        folder: for what the command says.

    Attributes:
        said: file of what the command said.
    """

    def __init__(self, arguments: Sequence[str | Path], folder: Path) -> None:
        self.said = folder / "said.jsonl"
        self._port = free_port()
        self._command = [
            *(sys.executable, str(REPOSITORY / "run_stream.py"), *map(str, arguments)),
            *("--watch", f"127.0.0.1:{self._port}", "--log-format", "json"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with self.said.open("wb") as said:
            self._process = subprocess.Popen(self._command, stdout=said, stderr=said)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None
        return self._process.pid

    def camera(self) -> dict[str, Any] | None:
        """What the console shows of the first camera; None while it does not answer."""
        return next(iter(self.cameras().values()), None)

    def cameras(self) -> dict[str, dict[str, Any]]:
        """What the console shows of all cameras, by name; none while it does not answer.

        Raises:
            BenchmarkError: the command has ended.
        """
        assert self._process is not None
        if self._process.poll() is not None:
            said = self.said.read_text(encoding="utf-8").splitlines()[-1:]
            raise BenchmarkError(f"it ended with code {self._process.returncode}: {said}")
        try:
            facts = json.loads(self.fetch("cameras.json"))
        except (urllib.error.URLError, OSError):
            return {}
        return {camera["name"]: camera for camera in facts["cameras"]}

    def fetch(self, page: str) -> bytes:
        """A page of where it is watched.

        Raises:
            OSError: it does not answer.
        """
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/{page}", timeout=5) as answer:
            return bytes(answer.read())

    def wait(self, what: Callable[[dict[str, Any]], bool], limit_s: float) -> float:
        """Wait until something holds; gives the seconds that took.

        Raises:
            BenchmarkError: it took too long, or the command has ended.
        """
        start_s = time.monotonic()
        while True:
            camera = self.camera()
            waited_s = time.monotonic() - start_s
            if camera is not None and what(camera):
                return waited_s
            if waited_s > limit_s:
                raise BenchmarkError(f"not within {limit_s} s")
            time.sleep(_STEP_S)

    def wait_for_frames(self, count: int, limit_s: float) -> float:
        """Wait until so many more frames are out; gives the seconds that took."""
        camera = self.camera()
        wanted = count + (0 if camera is None else int(camera["frames_out"]))
        return self.wait(lambda now: int(now["frames_out"]) >= wanted, limit_s)

    def wait_until_back(self, limit_s: float, *, held_frames: int = 0) -> float:
        """Wait for a frame that came after a fault; gives the seconds that took.

        Frames that were still held when the connection was lost go out after it, and do not count.

        Args:
            limit_s: then it took too long.
            held_frames: how many may still be held now. Where they are gone already, the time is
                that of so many frames too long.
        """
        took_s = self.wait(lambda now: now["state"] == "live", limit_s)
        return took_s + self.wait_for_frames(held_frames + 1, limit_s)

    def resources(self) -> Resources:
        """What it holds now."""
        return resources(self.pid)

    def cpu_s(self) -> float:
        """Processor time that it has used, user and system."""
        return cpu_s_of(self.pid)

    def stop(self, limit_s: float = 60.0) -> int:
        """Ask it to end; gives its exit code.

        Raises:
            BenchmarkError: it does not end.
        """
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        try:
            return self._process.wait(limit_s)
        except subprocess.TimeoutExpired:
            raise BenchmarkError(f"it does not end within {limit_s} s") from None
