"""The command starts no helper threads in NumPy and OpenCV, unless the user asks for them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from engines.thread_limits import THREAD_LIMITS

_ROOT = Path(__file__).resolve().parents[1]
# Large enough for OpenBLAS to share it among threads.
_WORK = """
import os, run_stream, cv2, numpy
numpy.ones((400, 400)) @ numpy.ones((400, 400))
print(cv2.getNumThreads(), len(os.listdir("/proc/self/task")))
"""


def _threads(**asked: str) -> tuple[int, int]:
    """OpenCV's threads, and all threads of a process that imported the command and computed."""
    own = {key: value for key, value in os.environ.items() if key not in THREAD_LIMITS}
    command = [sys.executable, "-c", _WORK]
    done = subprocess.run(
        command, cwd=_ROOT, env={**own, **asked}, capture_output=True, text=True, check=True
    )
    opencv, everything = done.stdout.split()
    return int(opencv), int(everything)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="no /proc to count threads in")
def test_no_helper_threads_unless_asked_for() -> None:
    assert _threads() == (1, 1)
    opencv, everything = _threads(OPENBLAS_NUM_THREADS="3", OPENCV_FOR_THREADS_NUM="2")
    assert opencv == 2
    assert everything > 1
