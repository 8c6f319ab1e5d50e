"""The key log: writing, reading and inspecting it. The definition is docs/keylog-format.md."""

from __future__ import annotations

from streamer.key_log_cursor import FrameRecords, KeyLogCursor
from streamer.key_log_header import CUSTOM_LEVEL, KeyLogHeader
from streamer.key_log_inspect import OuterReport, inspect_outer
from streamer.key_log_reader import KeyLogReader
from streamer.key_log_recipients import Recipient
from streamer.key_log_records import (
    NO_PTS,
    End,
    Face,
    Gap,
    Note,
    Record,
    ScopeKey,
    SealedPatch,
    Thumbnail,
    TrackStart,
    VideoDigest,
)
from streamer.key_log_writer import KeyLogWriter

__all__ = [
    "CUSTOM_LEVEL",
    "NO_PTS",
    "End",
    "Face",
    "FrameRecords",
    "Gap",
    "KeyLogCursor",
    "KeyLogHeader",
    "KeyLogReader",
    "KeyLogWriter",
    "Note",
    "OuterReport",
    "Recipient",
    "Record",
    "ScopeKey",
    "SealedPatch",
    "Thumbnail",
    "TrackStart",
    "VideoDigest",
    "inspect_outer",
]
