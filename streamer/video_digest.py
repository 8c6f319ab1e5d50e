"""Digests of the anonymised video, segment by segment, and what they prove about a file.

A segment is a group of pictures. Its digest covers the coded slices alone, so that moving a video
into another container does not change it and coding it anew does: docs/keylog-format.md, 6.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterator
from typing import Final

from streamer.key_log_records import VideoDigest

__all__ = ["SegmentDigester", "coded_slices", "nal_length_size"]

_SLICES_METHOD: Final = 2
_H264_SLICES: Final = range(1, 6)
_HEVC_SLICES: Final = range(32)
_START_CODE: Final = b"\x00\x00\x01"


def nal_length_size(codec: str, extradata: bytes) -> int:
    """How NAL units are set apart in packets: length fields of this many bytes; 0: start codes.

    Args:
        codec: "h264", "hevc" or another.
        extradata: the stream's, empty if none.
    """
    if not extradata or extradata[0] != 1:
        return 0
    if codec == "h264" and len(extradata) > 4:
        return (extradata[4] & 3) + 1
    if codec == "hevc" and len(extradata) > 21:
        return (extradata[21] & 3) + 1
    return 0


def coded_slices(packet: bytes, codec: str, length_size: int) -> list[bytes]:
    """The coded slices of a packet, without what containers add or take away.

    Args:
        packet: one coded picture.
        codec: "h264", "hevc"; of any other the whole packet counts as one unit.
        length_size: from `nal_length_size`.
    """
    if codec not in ("h264", "hevc"):
        return [packet]
    units = _by_length(packet, length_size) if length_size else _by_start_code(packet)
    slices = []
    for unit in units:
        if not unit:
            continue
        kind = unit[0] & 0x1F if codec == "h264" else unit[0] >> 1 & 0x3F
        if kind in (_H264_SLICES if codec == "h264" else _HEVC_SLICES):
            slices.append(unit)
    return slices


class SegmentDigester:
    """Makes one VideoDigest for each group of pictures. Not thread-safe.

    Args:
        codec: of the video, as `coded_slices` takes it.
        length_size: from `nal_length_size`; an encoder's own packets have start codes.
    """

    def __init__(self, codec: str, *, length_size: int = 0) -> None:
        self._codec = codec
        self._length_size = length_size
        self._segment = 0
        self._start()

    def add(self, pts: int, packet: bytes, *, is_keyframe: bool) -> VideoDigest | None:
        """Take the next packet in coding order; the segment before it, if this one begins another.

        Args:
            pts: of the picture.
            packet: coded bytes.
            is_keyframe: a group of pictures begins.
        """
        done = self.finish() if is_keyframe else None
        slices = coded_slices(packet, self._codec, self._length_size)
        self._digest.update(struct.pack("<I", len(slices)))
        for piece in slices:
            self._digest.update(struct.pack("<I", len(piece)))
            self._digest.update(piece)
        self._times.append(pts)
        return done

    def finish(self) -> VideoDigest | None:
        """The segment under way, or None if nothing came since the last one."""
        if not self._times:
            return None
        done = VideoDigest(
            self._segment,
            min(self._times),
            max(self._times),
            len(self._times),
            self._digest.digest(),
            _SLICES_METHOD,
        )
        self._segment += 1
        self._start()
        return done

    def _start(self) -> None:
        self._digest = hashlib.sha256()
        self._times: list[int] = []


def _by_length(packet: bytes, length_size: int) -> Iterator[bytes]:
    at = 0
    while at + length_size <= len(packet):
        size = int.from_bytes(packet[at : at + length_size], "big")
        at += length_size
        yield packet[at : at + size].rstrip(b"\0")
        at += size


def _by_start_code(packet: bytes) -> Iterator[bytes]:
    at = packet.find(_START_CODE)
    while at >= 0:
        end = packet.find(_START_CODE, at + 3)
        # A unit never ends with a zero byte; what stands there belongs to the next start code.
        yield packet[at + 3 : end if end >= 0 else len(packet)].rstrip(b"\0")
        at = end
