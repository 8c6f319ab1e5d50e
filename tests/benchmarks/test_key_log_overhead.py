from __future__ import annotations

import threading
from pathlib import Path

import pytest

from benchmarks import key_log_overhead
from benchmarks.key_log_overhead import MODES, Overhead, main, write_two_faces
from streamer.source import open_source


def overhead(log_ms: float) -> Overhead:
    return Overhead("clip", "sealed", 40, 2.0, 100.0, log_ms, 420_000.0)


def test_says_share_and_size() -> None:
    line = overhead(1.5).line()
    assert "1.50 of 100.0 CPU ms a frame, 1.50 %" in line
    assert "420.0 kB a face-second" in line
    assert set(MODES) == {"sealed", "sealed, lossless", "assisted", "generative"}


@pytest.mark.parametrize(("log_ms", "code"), [(2.9, 0), (3.1, 1)])
def test_exit_code_tells_whether_the_bar_holds(
    monkeypatch: pytest.MonkeyPatch, log_ms: float, code: int
) -> None:
    monkeypatch.setattr(key_log_overhead, "find_clips", lambda names, shared: [None])
    monkeypatch.setattr(key_log_overhead, "measure", lambda *_, **__: overhead(log_ms))
    assert main(["clip", "--mode", "sealed"]) == code


def test_two_faces_clip_is_1080p(tmp_path: Path) -> None:
    path = write_two_faces(tmp_path / "a.mp4", 3)
    with open_source(path) as source:
        frames = list(source.frames())
    assert [frame.pixels.shape for frame in frames] == [(1620, 1920)] * 3
    assert frames[0].pixels[300:780, 640:1280].std() > 20


def test_nested_calls_count_once() -> None:
    watch = key_log_overhead._Stopwatch()
    inner = watch.timed(lambda: sum(range(20_000)))
    outer = watch.timed(lambda: [inner() for _ in range(20)])
    threads = [threading.Thread(target=outer) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    once = watch.seconds
    watch.seconds = 0.0
    inner()
    assert once > 10 * watch.seconds
