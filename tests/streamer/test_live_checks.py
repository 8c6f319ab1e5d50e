"""The checks around a live fault notice what they are there for."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from engines.arrays import UInt8Array
from tests.live_faults import leaves_nothing_behind, within


def test_what_comes_too_late_is_noticed() -> None:
    with pytest.raises(AssertionError, match="are stated"), within(0.0):
        time.sleep(0.3)
    with within(3600.0):
        time.sleep(0.3)


def test_open_files_that_stay_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    with ExitStack() as files:

        def leave(count: int) -> None:
            with leaves_nothing_behind(settle_s=0.1):
                for _ in range(count):
                    files.enter_context(path.open())

        leave(1)
        with pytest.raises(AssertionError, match="5 descriptors"):
            leave(5)


def test_memory_that_stays_is_noticed() -> None:
    kept: list[UInt8Array] = []
    with pytest.raises(AssertionError, match="bytes"), leaves_nothing_behind(settle_s=0.1):
        kept.append(np.ones(80 << 20, np.uint8))
    with leaves_nothing_behind(settle_s=0.1):
        kept.clear()
