"""Fixtures of the live tests."""

from __future__ import annotations

from tests.live_faults import coded_clip, slow_clip, small_disk

__all__ = ["coded_clip", "slow_clip", "small_disk"]
