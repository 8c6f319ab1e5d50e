"""Fixtures of the live tests."""

from __future__ import annotations

from tests.live_faults import coded_clip

__all__ = ["coded_clip"]
