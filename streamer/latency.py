"""Latency: a histogram that is cheap to keep for months, and its quantiles."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

__all__ = ["BUCKETS_S", "LatencyHistogram", "LatencySnapshot"]

# Upper limits in seconds. Dense around 0.3 s, where the promise of a live camera lies.
BUCKETS_S: Final = (
    *(0.02, 0.04, 0.06, 0.08, 0.1, 0.125, 0.15, 0.175, 0.2, 0.225, 0.25, 0.275, 0.3, 0.35),
    *(0.4, 0.5, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0),
)


@dataclass(frozen=True, slots=True)
class LatencySnapshot:
    """A histogram at one moment.

    Attributes:
        counts: values in each bucket of `BUCKETS_S`, and last those beyond all of them.
        sum_s: sum of all values in seconds.
    """

    counts: tuple[int, ...]
    sum_s: float

    @property
    def count(self) -> int:
        """How many values there are."""
        return sum(self.counts)

    def cumulative(self) -> list[tuple[float, int]]:
        """Upper limit in seconds and number of values up to it, the last limit being infinite."""
        limits = (*BUCKETS_S, float("inf"))
        return list(zip(limits, accumulate(self.counts), strict=True))

    def quantile_s(self, ratio: float) -> float:
        """The value that a share of all values does not exceed; within a bucket interpolated.

        Args:
            ratio: in [0, 1].

        Returns:
            Seconds; 0 when there are no values, the last limit when it lies beyond all buckets.
        """
        wanted, before = ratio * self.count, 0
        for index, count in enumerate(self.counts[:-1]):
            if count and before + count >= wanted:
                low = BUCKETS_S[index - 1] if index else 0.0
                share = max(wanted - before, 0.0) / count
                return low + (BUCKETS_S[index] - low) * share
            before += count
        return BUCKETS_S[-1] if before < self.count else 0.0


class LatencyHistogram:
    """Counts values by size. Not thread-safe; its owner locks."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BUCKETS_S) + 1)
        self._sum_s = 0.0

    def add(self, value_s: float) -> None:
        """Count one value in seconds."""
        self._counts[bisect_left(BUCKETS_S, value_s)] += 1
        self._sum_s += value_s

    def snapshot(self) -> LatencySnapshot:
        """What was counted so far."""
        return LatencySnapshot(tuple(self._counts), self._sum_s)
