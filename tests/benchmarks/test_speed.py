from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pytest

from benchmarks.clips import BenchmarkError
from benchmarks.speed_measure import (
    Runner,
    command_peer,
    measure_cost,
    peer_missing,
    recode_runner,
)
from benchmarks.video_io import write_video
from engines.arrays import UInt8Array

_WORK = """
import sys, time
end = time.process_time() + 0.3 + 0.02 * int(open(sys.argv[1]).read())
while time.process_time() < end:
    pass
"""


@pytest.mark.slow
def test_start_up_is_left_out(tmp_path: Path) -> None:
    long, short = tmp_path / "long.txt", tmp_path / "short.txt"
    long.write_text("22", encoding="utf-8")
    short.write_text("2", encoding="utf-8")
    runner = Runner("busy", lambda a, b: [sys.executable, "-c", _WORK, str(a), str(b)])
    cost = measure_cost(runner, long, short, (22, 2), tmp_path)
    assert cost.cpu_s_per_frame == pytest.approx(0.02, rel=0.3)
    assert cost.start_cpu_s == pytest.approx(0.3, abs=0.15)


def test_a_program_that_fails_is_named(tmp_path: Path) -> None:
    runner = Runner("broken", lambda a, b: [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(BenchmarkError, match="broken on y ended with exit code 3"):
        measure_cost(runner, tmp_path / "x", tmp_path / "y", (2, 1), tmp_path)


@pytest.mark.slow
def test_decode_and_encode_alone_runs(tmp_path: Path, face_frames: list[UInt8Array]) -> None:
    write_video(tmp_path / "a.mkv", face_frames * 8)
    write_video(tmp_path / "b.mkv", face_frames)
    cost = measure_cost(recode_runner(), tmp_path / "a.mkv", tmp_path / "b.mkv", (48, 6), tmp_path)
    assert cost.cpu_s_per_frame > 0
    assert (tmp_path / "out_a.mp4").stat().st_size > 0


def test_missing_peer_gives_its_reason() -> None:
    reason = peer_missing(sys.executable)
    assert reason is None or "deface" in reason or "onnxruntime" in reason


def test_any_other_program_may_be_measured() -> None:
    runner = command_peer("blurrer=blur --in={source} -o {output} 'two words'")
    assert (runner.name, runner.is_peer) == ("blurrer", True)
    wanted = ["blur", "--in=a.mp4", "-o", "b.mp4", "two words"]
    assert runner.command(Path("a.mp4"), Path("b.mp4")) == wanted


@pytest.mark.parametrize("text", ["blur {source} {output}", "x=blur {source}", "x=blur {output}"])
def test_a_program_without_places_is_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        command_peer(text)
