"""Memory that is free goes back to the system."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamer.memory import give_back_memory, keep_frames_in_heap

_BLOCK, _COUNT = 64 * 1024, 1000  # too small for malloc to map each by itself


def _resident() -> int:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_holes_in_the_heap_go_back() -> None:
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "malloc_trim"):
        assert not give_back_memory()
        pytest.skip("not glibc")
    libc.malloc.restype = ctypes.c_void_p
    libc.free.argtypes = [ctypes.c_void_p]
    blocks = [libc.malloc(_BLOCK) for _ in range(_COUNT)]
    for block in blocks:
        ctypes.memset(block, 1, _BLOCK)
    for block in blocks[:-1]:  # the last one keeps the heap from shrinking by itself
        libc.free(block)
    full = _resident()
    assert give_back_memory()
    assert _resident() < full - 0.8 * _BLOCK * _COUNT
    libc.free(blocks[-1])


_FAULTS = """
import ctypes, resource, sys
from streamer.memory import keep_frames_in_heap
if sys.argv[1] == "kept":
    assert keep_frames_in_heap()
libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
libc.free.argtypes = [ctypes.c_void_p]
def frame():
    # Three blocks, as planes of a picture.
    blocks = [libc.malloc(9 << 20) for _ in range(3)]
    for block in blocks:
        ctypes.memset(block, 1, 9 << 20)
    for block in blocks:
        libc.free(block)
frame()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    frame()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's malloc")
def test_the_next_frame_gets_the_memory_of_the_last() -> None:
    if not hasattr(ctypes.CDLL(None), "mallopt"):
        assert not keep_frames_in_heap()
        pytest.skip("not glibc")

    def faults(kind: str) -> int:
        command = [sys.executable, "-c", _FAULTS, kind]
        return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)

    # 27 MB are 6,900 pages of 4 KiB, five times.
    assert faults("kept") < 1000
    assert faults("free") > 5 * faults("kept")
