from __future__ import annotations

import pytest

from streamer.quantities import parse_duration, parse_size


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("10m", 600), ("1.5h", 5400), ("30d", 2592000), ("5s", 5)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"), [("7", 7), ("500M", 500e6), ("200G", 200e9), ("2TB", 2e12), ("3 k", 3000)]
)
def test_sizes(text: str, size: float) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "m", "10 parsecs", "-5m", "1e3"])
def test_nonsense_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be a number"):
        parse_duration(text)
