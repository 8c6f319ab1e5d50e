from __future__ import annotations

import pytest

from benchmarks.clips import BenchmarkError
from benchmarks.memory import Sample, figures_from


def _samples(growth_mib: int) -> list[Sample]:
    return [
        Sample("render", done, (100 + growth_mib * done // 10_000) << 20)
        for done in range(0, 11_000, 100)
    ]


@pytest.mark.parametrize("growth_mib", [0, 80])
def test_growth_is_measured(growth_mib: int) -> None:
    (figures,) = figures_from(_samples(growth_mib), 11_000)
    assert figures.growth_mib == pytest.approx(growth_mib * 0.945, abs=2)
    assert figures.phase == "render"


def test_too_few_samples_are_refused() -> None:
    with pytest.raises(BenchmarkError, match="too short"):
        figures_from(_samples(0)[:3], 11_000)
    with pytest.raises(BenchmarkError, match="no progress"):
        figures_from([Sample("", 0, 1)], 11_000)
