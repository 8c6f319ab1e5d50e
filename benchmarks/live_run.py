"""A live job in a thread, with everything that a test wants to know about it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

from benchmarks.clips import BenchmarkError
from streamer.camera_snapshot import CameraSnapshot
from streamer.camera_status import CameraStatus
from streamer.config import AppConfig, load_config
from streamer.interrupt import StopRequest
from streamer.job_options import live_options
from streamer.live_job import LiveReport, LiveRequest, anonymize_live
from streamer.progress import QuietProgress
from streamer.redact import is_url

__all__ = ["LiveRun", "Resources", "live_config", "recordings", "resources"]

_PASSWORD: Final = b"correct horse battery"
_STEP_S: Final = 0.02


@dataclass(frozen=True, slots=True)
class Resources:
    """What a process holds.

    Attributes:
        rss_bytes: resident memory.
        descriptors: open files and sockets.
        threads: threads.
    """

    rss_bytes: int
    descriptors: int
    threads: int


def resources(pid: int | None = None) -> Resources:
    """What a process holds now; this one when none is named."""
    folder = Path(f"/proc/{os.getpid() if pid is None else pid}")
    pages = int((folder / "statm").read_text(encoding="ascii").split()[1])
    return Resources(
        pages * os.sysconf("SC_PAGE_SIZE"),
        len(list((folder / "fd").iterdir())),
        len(list((folder / "task").iterdir())),
    )


def live_config(overrides: Mapping[str, Mapping[str, Any]] | None = None) -> AppConfig:
    """The shipped configuration for cameras, with short time-outs and a small detector input."""
    sections: dict[str, dict[str, Any]] = {
        "engine": {"provider": "cpu", "workers": 1},
        "live": {"open_timeout_s": 5.0, "read_timeout_s": 2.0, "longest_wait_s": 2.0},
    }
    for name, values in (overrides or {}).items():
        sections[name] = {**sections.get(name, {}), **values}
    return load_config(Path("live-camera"), sections)


def recordings(folder: Path) -> list[Path]:
    """All video files in a folder, finished or not, oldest first."""
    found = [path for path in folder.iterdir() if path.suffix in (".mkv", ".mp4", ".ts")]
    return sorted(found, key=lambda path: (path.stat().st_mtime, path.name))


class LiveRun:
    """Anonymises a camera in a thread. A context manager, which stops it at the end.

    Args:
        url: the camera.
        outs: where to.
        config: how.
        keylog: the key log's place, None for beside the first file.
        now: monotonic clock in seconds of the job.

    Attributes:
        status: what the job says about itself.
        report: what it did, None until it has ended well.
        error: what ended it, None while it runs.
    """

    def __init__(
        self,
        url: str,
        outs: Sequence[Path | str],
        config: AppConfig,
        *,
        keylog: Path | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.status = CameraStatus("camera")
        self.report: LiveReport | None = None
        self.error: BaseException | None = None
        self._config, self._now = config, now
        self._request = LiveRequest(
            url=url,
            outs=tuple(str(out) for out in outs),
            keylog=keylog,
            options=live_options(config, url, is_file=not is_url(url)),
            overwrite=True,
        )
        self._stop = StopRequest()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        try:
            self.report = anonymize_live(
                self._request, self._config, _PASSWORD,
                stop=self._stop, progress=QuietProgress(), status=self.status, now=self._now,
            )  # fmt: skip
        except BaseException as exc:  # nothing narrower: the test wants to see whatever it was
            self.error = exc

    @property
    def is_running(self) -> bool:
        """Whether the job goes on."""
        return self._thread.is_alive()

    def snapshot(self) -> CameraSnapshot:
        """What the job is doing."""
        return self.status.snapshot()

    def wait(self, what: Callable[[CameraSnapshot], bool], limit_s: float) -> float:
        """Wait until something holds; gives the seconds that took.

        Raises:
            BenchmarkError: the job has ended, or it took too long.
        """
        start_s = time.monotonic()
        while not what(self.snapshot()):
            waited_s = time.monotonic() - start_s
            if not self.is_running and not what(self.snapshot()):
                raise BenchmarkError(f"the job has ended: {self.error or 'in good order'}")
            if waited_s > limit_s:
                raise BenchmarkError(f"not within {limit_s} s; it stands so: {self.snapshot()}")
            time.sleep(_STEP_S)
        return time.monotonic() - start_s

    def wait_for_frames(self, count: int, limit_s: float) -> float:
        """Wait until so many more frames are out; gives the seconds that took."""
        wanted = self.snapshot().frames_out + count
        return self.wait(lambda now: now.frames_out >= wanted, limit_s)

    def stop(self, limit_s: float = 30.0) -> LiveReport | None:
        """Ask it to end and wait for that.

        Raises:
            BenchmarkError: it does not end.
        """
        self._stop.set()
        self._thread.join(limit_s)
        if self._thread.is_alive():
            raise BenchmarkError(f"it does not end within {limit_s} s")
        return self.report

    def join(self, limit_s: float) -> None:
        """Wait for an end by itself.

        Raises:
            BenchmarkError: it does not end.
        """
        self._thread.join(limit_s)
        if self._thread.is_alive():
            raise BenchmarkError(f"it does not end within {limit_s} s")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
