"""Cameras: frames and drops of all are added up, and one failure is an error."""

from __future__ import annotations

import json

import pytest

from benchmarks.cameras import carried, measure
from benchmarks.clips import BenchmarkError
from benchmarks.command_line import CommandResult


def ended(*, dropped: int = 0, exit_code: int = 0) -> CommandResult:
    summary = json.dumps({"frames": 100, "dropped": dropped})
    return CommandResult(exit_code, summary, "error: no camera", 4.0, 5.0, 1)


def test_all_cameras_are_added_up() -> None:
    figure = measure(3, lambda number: ended(dropped=number))
    assert (figure.cameras, figure.frames, figure.dropped) == (3, 300, 3)
    assert figure.cpu_s_per_frame == pytest.approx(0.04)


def test_only_runs_without_drops_count() -> None:
    figures = [measure(n, lambda number: ended(dropped=int(number == 2))) for n in (1, 2, 3)]
    assert carried(figures) == 2
    assert carried([]) == 0


def test_a_camera_that_fails_is_named() -> None:
    with pytest.raises(BenchmarkError, match="camera 0 ended with exit code 3: error: no camera"):
        measure(1, lambda number: ended(exit_code=3))
