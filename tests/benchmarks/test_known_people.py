from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from benchmarks.known_people import main, measure
from streamer.config_rules import RulesConfig


def test_strangers_and_friends_are_counted_at_the_thresholds_of_the_rules() -> None:
    """Two pictures of `a`, and `b` and `c`, who look alike; `a` looks different each time."""
    lfw: Any = SimpleNamespace(
        people=["a", "a", "b", "c"],
        left=np.array([0, 2, 0]), right=np.array([1, 3, 2]),
        same=np.array([True, False, False]),
    )  # fmt: skip
    unit = np.eye(4, dtype=np.float32)
    alike = np.array([0, 0, 0.8, 0.6], np.float32)
    found = measure(
        np.stack([unit[0], unit[1], unit[2], alike]),
        np.stack([unit[0], unit[1], unit[2], alike]),
        lfw,
        RulesConfig(),
    )
    assert found.strangers == 6
    assert found.strangers_shown == 2  # b for c, and c for b
    assert found.most_alike == np.float32(0.8)
    assert (found.friends, found.friends_shown_ratio, found.hidden_missed_ratio) == (1, 0.0, 1.0)
    assert found.others_shown_ratio == 4 / 6


def test_what_is_missing_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--shared", str(tmp_path)]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"error: {tmp_path}")
    assert said.err.count("\n") == 1
