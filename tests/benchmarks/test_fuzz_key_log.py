from __future__ import annotations

from benchmarks.fuzz_key_log import fuzz


def test_mutants_give_documented_errors_only() -> None:
    outcomes = fuzz(1500, seed=7)
    assert outcomes["success"] == outcomes["unchanged"]
    assert outcomes["slow"] == 0
    assert {"KeyLogFormatError", "KeyLogTamperedError", "KeyLogTruncatedError"} <= set(outcomes)
