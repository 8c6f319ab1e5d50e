"""What the tests of live faults share: a clip, the judge of faces, and how patient to be."""

from __future__ import annotations

import gc
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from benchmarks.clips import DEFAULT_SHARED, BenchmarkError, FaceFinder, load_teachers
from benchmarks.live_camera import find_gstreamer_python
from benchmarks.live_clip import CodedClip, write_coded_clip
from benchmarks.live_run import LiveRun, live_config, resources
from engines.arrays import Float32Array, UInt8Array

SIZE_HW = (240, 424)
RATE_HZ = 15
# After this a test gives up; what is promised is less, and `within` holds it to that.
PATIENCE_S = 90.0
# What docs/reference/live_figures.md promises after a server answers again.
BACK_S = 2.0
# The look-back: so many frames of before a fault may still go out after it.
HELD_FRAMES = live_config().cover.look_back_frames
_PROBE_EVERY_S = 0.1
_PROBE_CPU_S = 0.005
# Machines that run tests have not been measured: the bar itself is for benchmarks/live_latency.
_MARGIN = 2.0
# What one fault may leave behind: a decoder or encoder that is freed a little later, and no more.
# That nothing adds up over many faults is for the soak to say.
_MOST_LEFT_BYTES = 48 << 20
_MOST_LEFT_FILES = 2
_SETTLE_S = 10.0


class _Probe:
    """How much longer than on an idle machine a thread takes here, while this runs."""

    def __init__(self) -> None:
        self._ended = threading.Event()
        self._wall_s = self._cpu_s = 0.0
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while not self._ended.is_set():
            # It counts from when it should have woken up: waiting for a turn is slowness, too.
            due_s, cpu_s = time.monotonic() + _PROBE_EVERY_S, time.thread_time()
            if self._ended.wait(_PROBE_EVERY_S):
                return
            while time.thread_time() - cpu_s < _PROBE_CPU_S:
                sum(range(100))
            self._cpu_s += time.thread_time() - cpu_s
            self._wall_s += max(time.monotonic() - due_s, 0.0)

    def end(self) -> float:
        """The factor, 1 or more."""
        self._ended.set()
        self._thread.join()
        return max(1.0, self._wall_s / self._cpu_s) if self._cpu_s else 1.0


@contextmanager
def within(stated_s: float) -> Iterator[None]:
    """This block must not take longer than is stated for a machine that does nothing else.

    A machine that gives a thread a third of a processor may take three times as long.
    """
    probe, start_s = _Probe(), time.monotonic()
    try:
        yield
    finally:
        took_s, slower = time.monotonic() - start_s, probe.end()
    limit_s = _MARGIN * stated_s * slower
    assert took_s <= limit_s, (
        f"{took_s:.2f} s, {stated_s:g} s are stated; {slower:.1f} times slower"
    )


def come_back(run: LiveRun, stated_s: float = BACK_S) -> None:
    """Five more frames must go out, the first new one of them in the stated time."""
    with within(stated_s):
        # Made pictures go out while the camera is away; they do not count.
        run.wait(lambda now: now.state == "live", PATIENCE_S)
        run.wait_for_frames(1 + HELD_FRAMES, PATIENCE_S)
    run.wait_for_frames(4, PATIENCE_S)


@contextmanager
def leaves_nothing_behind(pid: int | None = None, *, settle_s: float = _SETTLE_S) -> Iterator[None]:
    """A fault inside this block, and the way back from it, must not cost memory or descriptors.

    Args:
        pid: whose; of this process when none is named.
        settle_s: how long it may take to let go.
    """
    before = resources(pid)
    yield
    end_s = time.monotonic() + settle_s
    while True:
        gc.collect()
        after = resources(pid)
        grown_bytes = after.rss_bytes - before.rss_bytes
        files = after.descriptors - before.descriptors
        if grown_bytes <= _MOST_LEFT_BYTES and files <= _MOST_LEFT_FILES:
            return
        assert time.monotonic() < end_s, f"{grown_bytes} bytes and {files} descriptors are left"
        time.sleep(0.2)


def _placed(bgr: UInt8Array) -> tuple[Float32Array, Float32Array, Float32Array]:
    """Where the person of the clip stands, for machines without the judges."""
    height, width = bgr.shape[:2]
    side = height * 5 // 9
    x1, y1 = width / 2 - side * 0.2, height / 2 - side * 0.22
    box = np.array([[x1, y1, x1 + side * 0.4, y1 + side * 0.55]], np.float32)
    return box, np.zeros((1, 5, 2), np.float32), np.ones(1, np.float32)


def face_judge() -> FaceFinder:
    """The teacher detector where it is there."""
    try:
        return load_teachers(DEFAULT_SHARED).yunet
    except BenchmarkError:
        return _placed


def _coded_clip(folder: Path, count: int, rate_hz: int, *, every: int) -> CodedClip:
    try:
        find_gstreamer_python()
    except BenchmarkError as exc:
        pytest.skip(str(exc))
    path = folder / "camera.mp4"
    write_coded_clip(path, count, size_hw=SIZE_HW, rate_hz=rate_hz)
    return CodedClip(path, face_judge(), every=every)


@pytest.fixture(scope="session")
def coded_clip(tmp_path_factory: pytest.TempPathFactory) -> CodedClip:
    return _coded_clip(tmp_path_factory.mktemp("camera"), 450, RATE_HZ, every=15)


@pytest.fixture(scope="session")
def slow_clip(tmp_path_factory: pytest.TempPathFactory) -> CodedClip:
    """Five frames a second, so that eight cameras fit into two cores."""
    return _coded_clip(tmp_path_factory.mktemp("camera"), 750, 5, every=50)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "none", str(folder)]
    if subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("only root can make a small file system")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)  # noqa: S607 - wherever it is


def fill(folder: Path) -> Path:
    """Leave hardly anything on a disk; gives the file that takes it all."""
    ballast = folder / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(1 << 14))
        except OSError:
            return ballast
