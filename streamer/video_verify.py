"""Compares a video's segments with those that a key log lists, and says in words what is proven."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from statistics import median_low
from typing import Final, Literal

from streamer.key_log_records import VideoDigest

__all__ = ["Finding", "FindingKind", "VideoReport", "compare_segments", "match_segments"]

FindingKind = Literal["unchanged", "moved", "retimed", "foreign", "missing"]
# Containers round times, Matroska to a millisecond.
_TIME_TOLERANCE_S: Final = Fraction(2, 1000)


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a run of segments.

    Attributes:
        kind: unchanged; moved (out of order); retimed (shown at another time); foreign (not in
            the log: changed, coded anew, or cut inside); missing (in the log, not in the file).
        first_s: where it begins, in the file's time; in the log's for "missing".
        last_s: where its last frame is.
        segments: how many.
    """

    kind: FindingKind
    first_s: float
    last_s: float
    segments: int


@dataclass(frozen=True, slots=True)
class VideoReport:
    """The outcome of a comparison.

    Attributes:
        findings: in the order of the file, then what is missing.
        matched: segments of the log that were found.
        listed: segments in the log.
        shift_s: the file's time minus the log's; not 0 after a trim or in some containers.
    """

    findings: tuple[Finding, ...]
    matched: int
    listed: int
    shift_s: float

    @property
    def is_intact(self) -> bool:
        """Whether the file is the video of the log, whole, in order and unchanged."""
        return self.listed > 0 and all(item.kind == "unchanged" for item in self.findings)

    def _shift_in_words(self) -> str:
        if abs(self.shift_s) <= float(_TIME_TOLERANCE_S):
            return ""
        side = "later" if self.shift_s > 0 else "earlier"
        return f", shown {abs(self.shift_s):.3f} s {side} than they were recorded"

    def words(self) -> tuple[str, ...]:
        """What is proven and what is not, one sentence each."""
        if not self.listed:
            return ("the key log lists no segments, so nothing is proven about the video",)
        if not self.matched:
            return (
                "no segment of the video is in the key log: it was coded anew, or belongs to "
                "another log; the log proves nothing about it",
            )
        lines = [
            f"{self.matched} of {self.listed} segments are bit for bit what was written"
            + self._shift_in_words()
        ]
        words = {
            "moved": "stand in another order than they were written",
            "retimed": "are shown at other times than the rest",
            "foreign": "are not in the log: changed, coded anew or cut",
            "missing": "of the log are not in the video",
        }
        lines += [
            f"{item.segments} segment(s) from {item.first_s:.3f} s to {item.last_s:.3f} s "
            f"{words[item.kind]}"
            for item in self.findings
            if item.kind != "unchanged"
        ]
        if self.is_intact:
            lines.append("nothing was changed, cut, moved or added in the video stream")
        lines.append("sound, subtitles and the container's own data are not covered")
        return tuple(lines)


def compare_segments(
    listed: Sequence[VideoDigest],
    found: Sequence[VideoDigest],
    *,
    log_time_base: Fraction,
    video_time_base: Fraction,
) -> VideoReport:
    """Find each segment of a file in a log.

    Args:
        listed: the log's digests, by slices.
        found: the file's, made by `SegmentDigester`.
        log_time_base: seconds per pts unit of the log.
        video_time_base: seconds per pts unit of the file.
    """
    matches = match_segments(listed, found)
    shifts = [
        segment.first_pts * video_time_base - listed[number].first_pts * log_time_base
        for segment, number in zip(found, matches, strict=True)
        if number is not None
    ]
    shift = median_low(shifts) if shifts else Fraction(0)
    items: list[Finding] = []
    highest = -1
    for segment, number in zip(found, matches, strict=True):
        kind: FindingKind = "foreign"
        if number is not None:
            offset = segment.first_pts * video_time_base - listed[number].first_pts * log_time_base
            is_late = abs(offset - shift) > _TIME_TOLERANCE_S
            kind = "moved" if number < highest else "retimed" if is_late else "unchanged"
            highest = max(highest, number)
        items.append(_finding(kind, segment, video_time_base))
    used = {number for number in matches if number is not None}
    items += [
        _finding("missing", digest, log_time_base)
        for place, digest in enumerate(listed)
        if place not in used
    ]
    return VideoReport(tuple(_joined(items)), len(used), len(listed), float(shift))


def match_segments(listed: Sequence[VideoDigest], found: Sequence[VideoDigest]) -> list[int | None]:
    """For each segment of a file its number in the log, None if it is not there.

    Of equal segments the next after the last match is taken, and each only once.

    Args:
        listed: the log's digests, by slices.
        found: the file's.
    """
    places: dict[tuple[bytes, int], list[int]] = defaultdict(list)
    for place, digest in enumerate(listed):
        places[(digest.digest, digest.frames)].append(place)
    matches: list[int | None] = []
    last, used = -1, set[int]()
    for segment in found:
        equal = places.get((segment.digest, segment.frames), [])
        free = [place for place in equal if place not in used]
        number = min(free, key=lambda place: (place < last, abs(place - last)), default=None)
        if number is not None:
            used.add(number)
            last = number
        matches.append(number)
    return matches


def _finding(kind: FindingKind, segment: VideoDigest, time_base: Fraction) -> Finding:
    first, last = segment.first_pts * time_base, segment.last_pts * time_base
    return Finding(kind, float(first), float(last), 1)


def _joined(items: Sequence[Finding]) -> list[Finding]:
    """Neighbours of one kind as one finding."""
    joined: list[Finding] = []
    for item in items:
        if joined and joined[-1].kind == item.kind:
            before = joined[-1]
            joined[-1] = Finding(item.kind, before.first_s, item.last_s, before.segments + 1)
        else:
            joined.append(item)
    return joined
