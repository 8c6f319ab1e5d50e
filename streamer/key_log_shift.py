"""Records at other times: an output may begin elsewhere than the source does."""

from __future__ import annotations

from dataclasses import replace

from streamer.key_log_records import Gap, Record, TrackRecord

__all__ = ["shifted"]


def shifted(record: Record, shift: int) -> Record:
    """The record with `shift` added to the pts of the frames that it is of."""
    if not shift:
        return record
    if isinstance(record, TrackRecord):
        return replace(record, pts=record.pts + shift)
    if isinstance(record, Gap):
        return replace(record, first_pts=record.first_pts + shift, last_pts=record.last_pts + shift)
    return record
