from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest

from benchmarks.clips import BenchmarkError
from benchmarks.command_line import run_command, tree_rss_bytes, write_password


def test_cost_of_a_command() -> None:
    program = "import time\nx = bytearray(60 << 20)\ntime.sleep(0.3)\nprint('{\"a\": 1}')"
    result = run_command([sys.executable, "-c", program])
    assert result.exit_code == 0
    assert result.summary() == {"a": 1}
    assert result.wall_s >= 0.3
    assert result.cpu_s > 0
    assert result.peak_rss_bytes > 50 << 20


def test_failure_is_one_line() -> None:
    result = run_command([sys.executable, "-c", "import sys; sys.exit('first\\nlast')"])
    with pytest.raises(BenchmarkError, match="exit code 1: last"):
        result.require_success("it")


def test_cores_are_limited() -> None:
    program = "import os; print(len(os.sched_getaffinity(0)))"
    assert run_command([sys.executable, "-c", program], cores=1).stdout == "1\n"


def test_timeout_kills() -> None:
    start_s = time.monotonic()
    result = run_command([sys.executable, "-c", "import time; time.sleep(30)"], timeout_s=0.2)
    assert result.exit_code == -9
    assert time.monotonic() - start_s < 10


def test_memory_of_a_process_tree() -> None:
    assert tree_rss_bytes(os.getpid()) > 10 << 20
    assert tree_rss_bytes(2**22 + 1) == 0


def test_passwords_differ(tmp_path: Path) -> None:
    right, wrong = write_password(tmp_path), write_password(tmp_path, is_wrong=True)
    assert right.read_text() != wrong.read_text()
